"""How binaries end: what `xabl.support.binary` does for all of them."""

import configparser
import importlib.metadata
import re
import subprocess
import sys

import pytest

from tests.helpers.binaries import ROOT
from xabl.support.extras import EXTRA_OF

MISSING = """
import runpy, sys
sys.modules[sys.argv.pop(1)] = None  # as if it were not installed
runpy.run_module("xabl", run_name="__main__", alter_sys=True)
"""

FAILING = """
from xabl.support import binary

def main():
    {}

binary.run(main)
"""


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("package", "command", "arguments", "extra"),
    [
        ("pandas", "figures", ["--results=x", "--output=y"], "[analysis]"),
        ("optax", "pretrain", ["--config=x", "--workdir=y"], "[pretraining]"),
        ("h5py", "import", ["--source=x", "--image_ids=y", "--output=z"], ""),
    ],
)
def test_a_missing_package_is_one_line_with_the_cure(
    package, command, arguments, extra
):
    done = python(MISSING, package, command, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: the package {package} is not installed; run pip install '.{extra}' "
        f"in the checkout of xabl, or pip install 'xabl{extra}' where an index has it\n"
    )


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        ("import xabl.no_such_module", "ModuleNotFoundError: No module named 'xabl."),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such"),
        ("raise KeyError('a bug')", "KeyError: 'a bug'"),
    ],
)
def test_bugs_keep_their_trace(failure, shown):
    done = python(FAILING.format(failure))
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback") and shown in done.stderr


def test_interrupted():
    done = python(FAILING.format("raise KeyboardInterrupt"))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; what was finished before is kept\n"


def test_every_package_of_setup_cfg_has_its_cure():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    asked = {
        "": setup["options"]["install_requires"],
        **setup["options.extras_require"],
    }
    for of_tests in ("test", "peers", "fuzz"):
        asked.pop(of_tests)
    modules: dict[str, list[str]] = {}
    for module, distributions in importlib.metadata.packages_distributions().items():
        for distribution in distributions:
            modules.setdefault(normalised(distribution), []).append(module)
    for extra, requirements in asked.items():
        names = re.findall(r"^([A-Za-z][\w-]*)", requirements, re.MULTILINE)
        assert names
        for name in {normalised(name) for name in names} - {"absl-py"}:  # see below
            found = modules.get(name, [name])
            assert extra in {EXTRA_OF.get(module) for module in found}, name
    # Without absl-py no binary can say anything.
    assert "absl" not in EXTRA_OF


def normalised(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()
