# make demo       a small world, two models, the ablation, a report
# make test       the fast tests and the linter
# make test-slow  the tests that take minutes
# make test-faults  slow tests in which processes are killed and disks are full
# make test-peers models of transformers against transformers itself, with PyTorch
# make test-cluster  a study on a real SLURM of one node (as root, on Debian)
# make fuzz       damaged input for every reader, for FUZZ_SECONDS (five minutes)
# Everything is installed into .venv by the package index this machine is set up for.

# The first that runs and is new enough; or give one: make demo PYTHON=python3.13
PYTHON ?= $(or $(firstword $(foreach name,python3.11 python3.12 python3.13 python3, \
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' \
	2>/dev/null))),python3.11)
VENV := .venv
RUN := $(VENV)/bin/python
# Two processes fill two cores; more would compile the same programs again.
WORKERS := --numprocesses=2 --dist=loadfile

# Which of the slow tests, e.g. SLOW=tests/ablation
SLOW ?= tests

# PyTorch has an environment of its own: the product must do without it. This version
# is there without the gigabytes of a GPU's libraries.
PEERS := .venv-peers

FUZZ_SECONDS := 300
# Which inputs are drawn, e.g. FUZZ_SEED=1; by default others each time
FUZZ_SEED ?= $(shell date +%s)

.PHONY: demo test test-slow test-faults test-peers fuzz test-cluster lint clean

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
	$(RUN) -m pytest -m "slow and not faults" $(WORKERS) $(SLOW)

test-faults: $(VENV)/.installed
	$(RUN) -m pytest -m faults --numprocesses=2 --dist=worksteal

test-cluster: $(VENV)/.installed
	REPOSITORY=$(CURDIR) PYTHON=$(CURDIR)/$(RUN) \
		tests/cluster/in_throwaway_root.sh tests/cluster/slurm.sh $(CURDIR)

$(PEERS)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[analysis,test,peers]'
	touch $@

test-peers: $(PEERS)/.installed
	$(PEERS)/bin/python -m pytest tests/peers

# Atheris tells which code an input reaches; it is needed for nothing else.
fuzz: $(VENV)/.installed
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(RUN) -m tests.fuzz --seconds=$(FUZZ_SECONDS) --seed=$(FUZZ_SEED)

clean:
	rm -rf $(VENV) $(PEERS) build demo *.egg-info
