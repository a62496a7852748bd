"""What lies in a file's place, or is no file, is called by its name by every reader."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.helpers import ablation, ablation_binaries, binaries, tiny_corpus
from tests.helpers.golden_world import ENTITIES, write_regions
from xabl.data.flickr30k_entities import read_image, read_image_ids
from xabl.data.regions import open_regions
from xabl.errors import UserError
from xabl.inspection import inspect_path
from xabl.models import model_directory
from xabl.pretraining import configuration
from xabl.pretraining.corpus.reader import Corpus
from xabl.results.directory import ResultsDirectory
from xabl.studies.contents import Contents
from xabl.support.atomic import check_place, new_directory, new_file
from xabl.support.files import read_text, stand_in

# They read values, not files; examples.parquet is read where it is needed.
VALUES = {"lmdb value", "msgpack", "override", "sentences", "examples", "tensor names"}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1327\n"
PAGES = (
    b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n",
    b'\xef\xbb\xbf\r\n <HTML lang="en">Virus scan warning</HTML>',
    b"<!-- saved from a site -->\n<html></html>",
    b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">',
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>',
)


def packed(content=b"a dog\n" * 99):
    """By the name of what packs."""
    tar, archive = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        file.addfile(tarfile.TarInfo("a"), io.BytesIO())
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", content)
    return {
        "gzip": gzip.compress(content),
        "bzip2": bz2.compress(content),
        "xz": lzma.compress(content),
        "tar": tar.getvalue(),
        "zip": archive.getvalue(),
    }


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - VALUES))
def test_every_reader_says_what_it_was_given(tmp_path, name):
    for content, said in (
        (POINTER, "is a pointer of Git LFS, not the file itself: fetch it with git"),
        (b"/annex/objects/SHA256E-s5--8a", "is a pointer of git-annex"),
        (PAGES[0], "is a web page, saved in the place of a file"),
        (packed()["gzip"], r"is packed \(gzip\): unpack it"),
    ):
        with pytest.raises(UserError, match=said):
            TARGETS[name].read(tmp_path, content)


def test_pages_and_packed_files_are_known():
    assert all("a web page" in stand_in(page) for page in PAGES)
    for name, content in packed().items():
        assert f"packed ({name})" in stand_in(content)
    for content in (b"", b"<annotation>", b'<?xml version="1.0"?><annotation/>', b"1"):
        assert stand_in(content) is None


@pytest.mark.parametrize("content", [POINTER, PAGES[0]])
def test_captions_that_are_a_page_are_no_captions(tmp_path, content):
    """Words they have; without a phrase the image would be left out unseen."""
    entities = shutil.copytree(ENTITIES, tmp_path / "entities")
    image_id = read_image_ids(ENTITIES / "val.txt")[0]
    (entities / "Sentences" / f"{image_id}.txt").write_bytes(content)
    with pytest.raises(UserError, match=rf"Sentences/{image_id}\.txt is a "):
        read_image(entities, image_id)
    assert stand_in(content) in inspect_path(entities).problems[0]


def test_a_model_cloned_without_git_lfs_is_told_so(tmp_path):
    config = ablation.shallow("bert")
    ablation_binaries.save(tmp_path / "m", config, ablation.ruled_params(config))
    for path in (tmp_path / "m" / "params").rglob("*"):
        if path.is_file():
            path.write_bytes(POINTER)
    with pytest.raises(UserError, match="a pointer of Git LFS"):
        model_directory.load(tmp_path / "m")


def test_damaged_parts_of_a_corpus_are_one_message(tmp_path):
    folder = tiny_corpus.corpus(tmp_path, 1).directory / "train"
    for path in folder.iterdir():
        whole = path.read_bytes()
        for content in (b"", b"{", b"{}", b"[]", POINTER):
            path.write_bytes(content)
            with pytest.raises(UserError, match="corpus"):
                Corpus(folder.parent, "train").image(0)
        path.write_bytes(whole)
    assert Corpus(folder.parent, "train").image(0).num_boxes


# ---- Pipes, links and mounted disks ----


@pytest.fixture
def pipe(tmp_path):
    """Opened, it would wait for ever for somebody to write."""
    os.mkfifo(tmp_path / "pipe.yaml")
    return tmp_path / "pipe.yaml"


@pytest.mark.parametrize(
    "use",
    [
        "inspect {p}",
        "import --source={p} --image_ids={e}/val.txt --output={o}",
        "import --source={r} --image_ids={p} --output={o}",
        "convert --checkpoint={p} --output={o}",
        "corpus --source={r} --captions={p} --output={o}",
        "pretrain --config={p} --workdir={o}",
        "sweep --study={p} --output={o}",
        "report --results={p} --output={o}",
    ],
)
def test_a_pipe_is_refused_and_waited_for_by_nobody(tmp_path, pipe, use):
    regions = write_regions(tmp_path, "hdf5")
    given = use.format(p=pipe, e=ENTITIES, r=regions, o=tmp_path / "o")
    done = binaries.run_words("xabl", *given.split())
    assert done.status == 1 and str(pipe) in done.err
    assert not list((tmp_path / "o").rglob("*"))


def test_a_pipe_is_read_by_nobody_who_would_read_it_twice(tmp_path):
    """As in `--image_ids=<(head val.txt)`: who looks first takes the beginning."""
    reading, writing = os.pipe()
    os.write(writing, b"1\n2\n")
    os.close(writing)
    with pytest.raises(UserError, match="is a pipe or a device, .*write what comes"):
        read_image_ids(Path(f"/dev/fd/{reading}"))
    assert os.read(reading, 9) == b"1\n2\n"
    os.close(reading)


def test_links_that_lead_to_themselves_are_named(tmp_path):
    loop = tmp_path / "loop.bin"
    loop.symlink_to(loop.name)
    for use in (inspect_path, open_regions, read_text, configuration.load):
        with pytest.raises(UserError, match="Too many levels|neither a file"):
            use(loop)
    for make in (new_file, new_directory):
        with pytest.raises(UserError, match="is a link that leads to itself"):
            make(loop, overwrite=True).__enter__()
    assert os.listdir(tmp_path) == [loop.name]


def test_where_a_disk_is_mounted_nothing_is_begun(tmp_path, monkeypatch):
    """A container's volume: what is made beside it could not be moved there."""
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path / "volume")
    (tmp_path / "volume").mkdir()
    for use in (
        check_place,
        lambda path: new_directory(path).__enter__(),
        lambda path: model_directory.check_output(path, overwrite=True),
        lambda path: ResultsDirectory(path, overwrite=True),
    ):
        with pytest.raises(UserError, match="is where a disk is mounted"):
            use(tmp_path / "volume")
    check_place(tmp_path / "volume" / "new")


# ---- Other programs' text ----


def test_a_split_with_a_byte_order_mark_is_the_same_study(tmp_path):
    """A sweep looks at the files by itself."""
    entities = shutil.copytree(ENTITIES, tmp_path / "entities")
    before = Contents(tmp_path / "none").of_entities(entities, "val")
    split = entities / "val.txt"
    split.write_bytes(b"\xef\xbb\xbf" + split.read_bytes())
    assert Contents(tmp_path / "none").of_entities(entities, "val") != before
