"""What is installed without the checkout: the wheel, in a folder of somebody else's."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.helpers.binaries import ROOT
from tests.helpers.fake_results import FakeModel, write_results


def copied_to(source: Path) -> Path:
    """A copy of the checkout, since building leaves files beside the sources."""
    source.mkdir()
    tracked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(tracked, cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if not name.startswith("tests/data/") and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    return source


def build_wheel(folder: Path) -> Path:
    source = copied_to(folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--quiet"]
    subprocess.run([*command, f"--wheel-dir={folder}"], cwd=source, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def installed(environment: Path, *what: Path | str) -> Path:
    """The programs of a fresh environment with xabl in it."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", environment], check=True
    )
    programs = environment / "bin"
    pip = [sys.executable, "-m", "pip", f"--python={programs / 'python'}", "install"]
    subprocess.run([*pip, "--no-deps", "--quiet", *what], check=True)
    # What xabl needs, from where it is installed already. A folder that a .pth file
    # names is searched, but its own .pth files, one of them for the checkout, are not.
    (site,) = environment.glob("lib/*/site-packages")
    (site / "needed.pth").write_text(sysconfig.get_paths()["purelib"])
    return programs


@pytest.fixture(scope="module")
def xabl(wheel, tmp_path_factory):
    """Runs a program of a fresh environment in a folder with `experiments/` in it."""
    programs = installed(tmp_path_factory.mktemp("environment"), wheel)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "experiments").mkdir()
    (elsewhere / "experiments" / "__init__.py").write_text("raise ImportError('yours')")

    def run(program, *arguments):
        return subprocess.run(
            [programs / program, *arguments],
            cwd=elsewhere,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            capture_output=True,
            text=True,
        )

    run.folder = elsewhere
    return run


def test_the_wheel_holds_the_library_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"xabl", "checkpoints_conversion", "xabl-0.1.0.dist-info"}
    assert "xabl/commands/ablate.py" in names
    for suffix in (".js", ".css"):  # the report's
        assert any(name.endswith(suffix) for name in names)


def test_import(xabl):
    code = "import sys, xabl; print(xabl.__file__, 'jax' in sys.modules)"
    done = xabl("python", "-c", code)
    assert "site-packages" in done.stdout and done.stdout.endswith("False\n")


@pytest.mark.slow
def test_a_checkout_does_not_hide_what_is_installed_from_it(tmp_path):
    """A script lies beside it, and Python finds a folder called xabl there first."""
    source = copied_to(tmp_path / "xabl")
    programs = installed(tmp_path / "environment", "--editable", source)
    (tmp_path / "mine.py").write_text("import xabl; print(xabl.__file__, xabl.Logits)")
    done = subprocess.run(
        [programs / "python", "mine.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith(str(source / "xabl" / "__init__.py")), done.stderr


def test_cures_are_true_without_a_checkout(xabl):
    for arguments in ((), ("--help",), ("pretrain", "--help"), ("ablate", "--help")):
        done = xabl("xabl", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "experiments." not in done.stdout
    done = xabl("xabl", "figures", "--results=nowhere", "--output=figures")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere: no such results directory" in done.stderr
    assert "experiments" not in done.stderr


def test_report(xabl):
    world = dict(num_images=5, phrases_per_image=2, predictions=2)
    directory = write_results(xabl.folder / "results", FakeModel(), **world)
    done = xabl(
        "xabl",
        "report",
        f"--results={directory}",
        "--output=report.html",
        "--resamples=100",
    )
    assert done.returncode == 0, done.stderr
    assert "14 of 14 examples to browse" in done.stdout
    assert "<html" in (xabl.folder / "report.html").read_text()


@pytest.mark.slow
def test_demo(xabl):
    done = xabl("xabl", "demo", "--output=demo", "--steps=20")
    assert done.returncode == 0, done.stderr
    assert (xabl.folder / "demo" / "report.html").is_file()
