"""`xabl` as one meets it: the list of commands, the help of each, what is mistyped."""

import os
import subprocess
import sys

import pytest
from absl import flags

from tests.helpers import binaries
from tests.helpers.binaries import ROOT
from tests.helpers.fake_results import FakeModel, write_results
from xabl.commands import COMMANDS, module_of

# Importing any of these takes longer than a help may.
HEAVY = {"jax", "flax", "numpy", "orbax", "pyarrow", "pandas", "h5py", "grain"}

SCRIPTS = (
    ("ablate", "experiments.ablate"),
    ("import", "experiments.import_regions"),
    ("check", "experiments.check_results"),
    ("foils", "experiments.foils"),
    ("inspect", "experiments.inspect_data"),
    ("figures", "experiments.figures"),
    ("report", "experiments.report"),
    ("labelmatch", "experiments.labelmatch"),
    ("corpus", "experiments.build_corpus"),
    ("pretrain", "experiments.pretrain"),
    ("sweep", "experiments.sweep"),
    ("world", "experiments.make_world"),
    ("controls", "experiments.controls"),
    ("demo", "experiments.demo"),
    ("convert", "checkpoints_conversion.convert_volta"),
    ("convert", "checkpoints_conversion.convert_bert"),
    ("convert", "checkpoints_conversion.convert_lxmert"),
)


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def defined_flags(command):
    """The flags of one command, by absl itself."""
    code = f"""
from absl import flags
from xabl.commands import module_of
module = module_of({command!r})
module.define_flags()
for flag in flags.FLAGS.get_flags_for_module(module):
    default = flag.default
    print(flag.name, ",".join(default) if isinstance(default, list) else default)
"""
    lines = python("-c", code).stdout.splitlines()
    assert lines
    return dict(line.partition(" ")[::2] for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_every_flag_and_imports_nothing_heavy(command):
    done = python("-X", "importtime", "-m", "xabl", command, "--help", COLUMNS="80")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    for name, default in defined_flags(command).items():
        assert f"--{name}=" in text or f"--[no]{name} " in text
        if default not in ("None", "", "True", "False"):
            assert f"(default: {default})" in text
    assert f" xabl {command} " in text.partition("usage: ")[0]  # an example
    assert text.startswith(" ".join(module_of(command).__doc__.split()))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "absl.flags" in imported and not imported & HEAVY


@pytest.mark.parametrize(("command", "script"), SCRIPTS)
def test_a_script_is_its_command(command, script):
    as_command = python("-m", "xabl", command, "--help")
    as_script = python("-m", script, "-h")
    assert (as_script.returncode, as_script.stderr) == (0, "")
    assert as_script.stdout == as_command.stdout


def test_every_command_has_a_script():
    assert {command for command, _ in SCRIPTS} == COMMANDS.keys()


def test_flags_that_are_needed_come_first():
    done = python("-m", "xabl", "ablate", "--help")
    needed, _, optional = done.stdout.partition("\nOptional:\n")
    assert (
        "usage: xabl ablate --model=TEXT --entities=TEXT [--flag=value ...]" in needed
    )
    assert "\nNeeded:\n  --model=" in needed and "  --precision=highest|" in optional
    done = python("-m", "xabl", "convert", "--help")
    assert "usage: xabl convert CHECKPOINT --output=TEXT [--flag=value" in done.stdout
    assert "\nNeeded:\n  CHECKPOINT (or --checkpoint=CHECKPOINT)\n" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_the_overview_has_a_line_for_each_command(arguments):
    done = python("-m", "xabl", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        first = module_of(command).__doc__.partition("\n")[0]
        assert f" {command} {first}" in " ".join(done.stdout.split())


@pytest.mark.parametrize("columns", ["1", "20", "500"])
def test_terminals_of_any_width(columns):
    for command in ("--help", "world"):
        done = python("-m", "xabl", command, "--help", COLUMNS=columns)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ablat"], "no command 'ablat'; did you mean ablate? (xabl --help lists"),
        (["sing"], "no command 'sing' (xabl --help lists the commands)"),
        (["ablate", "--modle=x"], "no flag --modle; did you mean --model? (--help"),
        (["ablate", "--yyy=x"], "no flag --yyy (--help lists the flags)"),
        (["ablate"], "give --model, --entities (--help lists the flags)"),
        (["convert", "--output=x"], "give the checkpoint: xabl convert FILE --output="),
        (["demo", "here"], "unexpected argument 'here'; flags are written --name="),
        (
            ["ablate", "MODEL", "--entities", "x"],
            "unexpected argument 'MODEL'; flags are",
        ),
        (
            ["ablate", "MODEL", "--entities", "x"],
            "written --name=value; give --model (",
        ),
        (
            ["report", "A", "B"],
            "unexpected argument 'A'; flags are written --name=value",
        ),
        (
            ["convert", "A", "B"],
            "unexpected argument 'B'; flags are written --name=value",
        ),
        (["convert", "A", "B", "--output=C"], "unexpected argument 'B'; flags are"),
        (["convert", "A", "--checkpoint=B", "--output=C"], "unexpected argument 'A'"),
        (["inspect", "--split", "val"], "give the file or folder: xabl inspect PATH"),
        (["demo", "--steps=many"], "flag --steps=many: invalid literal"),
        (["demo", "--flagfile=nowhere"], "nowhere"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_is_mistyped_costs_one_line(arguments, message):
    done = python("-m", "xabl", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr


@pytest.mark.parametrize("words", [("check", "--results=nowhere"), ("--version",)])
def test_commands_that_tests_fork_end_as_those_that_are_started(words):
    started, forked = python("-m", "xabl", *words), binaries.run_words("xabl", *words)
    assert forked == binaries.Finished(
        status=started.returncode, out=started.stdout, err=started.stderr
    )


def test_a_file_of_flags(tmp_path):
    file = tmp_path / "flags.txt"
    file.write_text(f"--path={tmp_path / 'nowhere'}\n")
    done = python("-m", "xabl", "inspect", f"--flagfile={file}")
    assert done.returncode == 1 and str(tmp_path / "nowhere") in done.stderr


def test_commands_can_be_imported_together():
    before = set(flags.FLAGS)
    assert len({module_of(command) for command in COMMANDS}) == len(COMMANDS)
    assert set(flags.FLAGS) == before


def test_check(tmp_path):
    directory = write_results(tmp_path / "results", FakeModel(), num_images=5)
    for path in (directory, tmp_path):  # itself, or the folder it is in
        done = python("-m", "xabl", "check", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{directory}: as figures, tables and report expect it\n"
    (directory / "examples.parquet").unlink()
    done = python("-m", "xabl", "check", f"--results={directory}")
    assert done.returncode == 1 and "examples.parquet" in done.stdout
    assert f"problems found in {directory}: 1" in done.stderr
    assert "give the results directory" in python("-m", "xabl", "check").stderr
