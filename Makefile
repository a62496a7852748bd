# make demo       a small world, two models, the ablation, a report
# make test       the fast tests and the linter
# make test-slow  the tests that take minutes
# Everything is installed into .venv by the package index this machine is set up for.

PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
# Two processes fill two cores; more would compile the same programs again.
WORKERS := --numprocesses=2 --dist=loadfile

.PHONY: demo test test-slow lint clean

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(RUN) -m pip install --quiet --disable-pip-version-check \
		--editable '.[pretraining,analysis,studies,cluster,test]'
	touch $@

demo: $(VENV)/.installed
	$(RUN) -m xabl demo --output=demo

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

test: lint
	$(RUN) -m pytest -m "not slow" $(WORKERS)

test-slow: $(VENV)/.installed
	$(RUN) -m pytest -m slow $(WORKERS)

clean:
	rm -rf $(VENV) build demo *.egg-info
