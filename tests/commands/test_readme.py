"""The README's commands and Python, run: nothing stands there that is not so."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.helpers import golden, golden_world
from tests.helpers.binaries import ROOT
from tests.helpers.torch_writer import write_torch_file
from tests.helpers.transformers_checkpoints import lxmert_state, write_settings
from xabl.analysis.verified import VERIFIED

README = (ROOT / "README.md").read_text()
CASE = golden.ablation_case("ctrl_uniter_base")


def blocks(language):
    """The code blocks of a language, without the indentation of their list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", README, re.M | re.S)
    return [re.sub(rf"^{indent}", "", code, flags=re.M) for indent, code in found]


def commands():
    """Every command of `xabl`, as the arguments it is given."""
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    found = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words[1:] for words in found if words[:1] == ["xabl"]]


def xabl(*arguments, cwd):
    return python("-m", "xabl", *arguments, cwd=cwd)


def python(*arguments, cwd):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(cwd),
            # Programs run for a moment; compiling them takes most of the time.
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        capture_output=True,
        text=True,
    )


def test_there_are_commands():
    assert {words[0] for words in commands()} >= {
        *("convert", "import", "ablate", "figures", "report", "labelmatch"),
        *("corpus", "pretrain", "controls"),
    }


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_the_flags_it_is_given(tmp_path, words):
    done = xabl(*words, "--only_check_args", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files the README speaks of, holding the golden world."""
    folder = tmp_path_factory.mktemp("readme")
    write_torch_file(folder / "pytorch_model_9.bin", CASE.state_dict(), "zip")
    # The preset of that name is of full size.
    (folder / "config.json").symlink_to(CASE.config_file)
    lxmert = folder / "lxmert-base-uncased"
    lxmert.mkdir()
    write_torch_file(lxmert / "pytorch_model.bin", lxmert_state(), "zip")
    write_settings(lxmert)
    (folder / "vocab.txt").symlink_to(golden_world.VOCABULARY)
    (folder / "flickr30k_entities").symlink_to(golden_world.ENTITIES)
    golden_world.write_regions(folder, "lmdb").rename(folder / "flickr30k_boxes36.lmdb")
    return folder


def test_from_checkpoint_to_report_and_python(folder):
    """The numbered steps, one after the other, with the paths as they stand there."""
    for words in commands():
        if words[0] not in ("convert", "import", "ablate", "figures", "report"):
            continue
        done = xabl(*words, cwd=folder)
        assert done.returncode == 0, done.stderr
    assert (folder / "report.html").is_file()
    (code,) = blocks("python")
    image_id = next(iter(golden_world.golden_images())).image_id
    done = python("-c", code.replace("1000092795", image_id), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "vis4lang" in done.stdout  # the summary
    assert (folder / "results" / "from_python" / "scores.parquet").is_file()


def test_what_was_verified_is_what_the_report_says():
    text = " ".join(README.split())
    for item in VERIFIED:
        assert f"{item.question} {item.answer} `{item.command}`" in text
