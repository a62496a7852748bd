"""The recipes of docs/extending.md, carried out on a copy of the package.

The patches and files are those on the page. What the changed package then does is in
`carried_out`, which runs in the copy.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers.binaries import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text()
# Files of the product that a recipe may change.
LIMITS = {
    "A condition": 2,
    "A model": 3,
    "A visual target": 3,
    "A form of region files": 2,
    "A figure": 2,
}


def section(title):
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return text


def patches(text):
    return re.findall(r"^```diff\n(.*?)^```", text, re.M | re.S)


def new_files(text):
    found = re.findall(r"new file, `(.+?)`:\n\n```python\n(.*?)^```", text, re.M | re.S)
    return dict(found)


def changed_files(title):
    text = section(title)
    patched = re.findall(r"^\+\+\+ b/(.+)$", "\n".join(patches(text)), re.M)
    return {*patched, *new_files(text)}


@pytest.mark.parametrize("title", LIMITS)
def test_a_recipe_changes_few_files(title):
    files = changed_files(title)
    assert 0 < len(files) <= LIMITS[title]
    stated = re.search(rf"\[{title[0].lower()}{title[1:]}\]\(.*?\) \| (\d)", PAGE)
    assert len(files) == int(stated[1])


def test_a_condition_changes_neither_analysis_nor_the_script():
    assert not [name for name in changed_files("A condition") if "analysis" in name]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The package after all recipes, and the tests beside it."""
    copy = tmp_path_factory.mktemp("extended")
    for name in ("xabl", "checkpoints_conversion", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "setup.cfg", copy)
    for title in LIMITS:
        text = section(title)
        for name, content in new_files(text).items():
            assert not (copy / name).exists()
            (copy / name).write_text(content)
        for patch in patches(text):
            subprocess.run(
                ["git", "apply", "-"],
                cwd=copy,
                # Not a part of a repository around it.
                env=os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)},
                input=patch,
                text=True,
                check=True,
            )
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("which", ["not slow", "slow"])
def test_the_recipes_are_carried_out(copy, which):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", which]
        + ["tests/docs/carried_out.py"],
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-10000:]
