"""The README's commands and Python, run: nothing stands there that is not so."""

import configparser
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.helpers import ablation
from tests.helpers.binaries import ROOT
from tests.helpers.report_pages import Page
from tests.helpers.torch_writer import write_torch_file
from tests.helpers.transformers_checkpoints import lxmert_state, write_settings
from xabl.analysis.terms import TERMS
from xabl.analysis.verified import VERIFIED
from xabl.synthetic.demo import DemoSettings
from xabl.synthetic.world.files import REGION_FILES, make_world
from xabl.synthetic.world.settings import WorldSettings

README = (ROOT / "README.md").read_text()


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
    """A folder with the files the README speaks of: a synthetic world, as published."""
    folder = tmp_path_factory.mktemp("readme")
    settings = WorldSettings(train_images=1, val_images=5, test_images=1)
    make_world(folder / "world", settings, regions_form="lmdb", pictures=True)
    for name, kept in {
        "flickr30k_entities": "flickr30k_entities",
        "vocab.txt": "vocab.txt",
        "flickr30k_boxes36.lmdb": REGION_FILES["lmdb"],
        "flickr30k_images": "pictures",
        "objects_vocab.txt": "objects_vocab.txt",
    }.items():
        (folder / name).symlink_to(folder / "world" / kept)
    vocabulary = (folder / "vocab.txt").read_text().splitlines()
    config = dataclasses.replace(
        ablation.shallow("uniter"),
        vocab_size=len(vocabulary),
        v_feature_size=settings.feature_size,
    )
    tensors = ablation.ruled_tensors(config)
    write_torch_file(folder / "pytorch_model_9.bin", tensors, "zip")
    # The preset of that name is of full size.
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    lxmert = folder / "lxmert-base-uncased"
    lxmert.mkdir()
    write_torch_file(lxmert / "pytorch_model.bin", lxmert_state(), "zip")
    write_settings(lxmert)
    return folder


@pytest.mark.slow
def test_from_checkpoint_to_report_and_python(folder):
    """The numbered steps, one after the other, with the paths as they stand there."""
    said = {}
    for words in commands():
        if words[0] not in ("convert", "import", "ablate", "figures", "report"):
            continue
        done = xabl(*words, cwd=folder)
        assert done.returncode == 0, done.stderr
        said[words[0]] = done
    # It says what it waits for, what it found and what comes next.
    ablated = said["ablate"]
    assert "reading the model models/ctrl_uniter_base" in ablated.stderr
    assert "reading flickr30k_entities and regions.h5" in ablated.stderr
    assert "change" in ablated.stdout and "95% interval" in ablated.stdout
    following = ablated.stdout.splitlines()[-1].removeprefix("next: xabl ").split()
    again = xabl(*following, "--overwrite", cwd=folder)
    assert again.returncode == 0, again.stderr
    # What the browser shows is there though no command named it.
    page = Page(folder / "report.html")
    assert {"regions", "predictions-0", "words-0"} <= page.index["blocks"].keys()
    assert page.index["classes"] is not None
    (code,) = blocks("python")
    image_id = (folder / "flickr30k_entities" / "val.txt").read_text().split()[0]
    done = python("-c", code.replace("1000092795", image_id), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "vis4lang" in done.stdout  # the summary
    assert (folder / "results" / "from_python" / "scores.parquet").is_file()


def test_every_extra_that_a_user_needs_is_named():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for_developers = {"fuzz", "test", "peers"}
    named = set(re.findall(r"\.\[(\w+)\]'", README))
    assert named == set(setup["options.extras_require"]) - for_developers


def test_pictures_are_there_and_small():
    pictures = [ROOT / path for path in re.findall(r"!\[[^]]*\]\((.+?)\)", README)]
    assert len(pictures) == 3
    assert max(picture.stat().st_size for picture in pictures) < 200_000


def test_terms_are_those_of_the_demo():
    lines = README.splitlines()
    assert all(f"| {term.name} | {term.meaning} |" in lines for term in TERMS)


def test_what_was_verified_is_what_the_report_says():
    text = " ".join(README.split())
    for item in VERIFIED:
        assert f"{item.question} {item.answer} `{item.command}`" in text


def test_the_demo_has_as_many_models_as_it_says():
    each, all_models = (
        {1: "one", 2: "two", 4: "four"}[count * DemoSettings().seeds]
        for count in (1, 2)
    )
    text = " ".join(README.split())
    assert f"{all_models} models pretrained on it" in text
    assert f"trains {each} model with right and {each} with erring labels" in text
    assert f"a small world, {all_models} models" in (ROOT / "Makefile").read_text()
