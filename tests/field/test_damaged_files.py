"""Nothing in a damaged file ends the process, and nothing damaged is scored."""

import gzip
import os
import random
import resource
import signal
import subprocess
import sys

import h5py
import lmdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers import fake_results
from tests.helpers.binaries import ROOT
from tests.helpers.golden_world import FORMS, golden_images, write_regions
from xabl.data.lmdb_reader import LmdbFile
from xabl.data.regions import (
    hdf5_files,
    import_regions,
    lmdb_files,
    open_regions,
    scout,
    store,
    tsv_files,
)
from xabl.errors import UserError
from xabl.inspection import inspect_path
from xabl.results.directory import ResultsDirectory
from xabl.results.format import SCORES
from xabl.results.reading import read_file

IMAGES = golden_images()
IDS = [image.image_id for image in IMAGES]
PAGE = 4096


# ---- LMDB ----


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """An LMDB of many small and some long values, of which some were deleted."""
    folder = tmp_path_factory.mktemp("lmdb") / "whole"
    drawn = random.Random(0)
    expected = {
        str(number).encode(): drawn.randbytes(drawn.choice([0, 7, 300, 1990, 9000]))
        for number in range(250)
    }
    with lmdb.open(str(folder), map_size=2**28, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            for key, value in expected.items():
                transaction.put(key, value)
        with environment.begin(write=True) as transaction:
            for key in drawn.sample(sorted(expected), 40):
                transaction.delete(key)
                del expected[key]
    return folder, expected


def test_the_reader_finds_what_the_library_wrote(entries):
    folder, expected = entries
    with LmdbFile(folder) as file:
        assert file.entries == len(expected)
        assert dict(file.items()) == expected
        assert list(file.keys()) == sorted(expected)
        for key in (b"", b"0", b"17", b"249", b"zzz", b"1234567"):
            assert file.get(key) == expected.get(key)
    with LmdbFile(folder / "data.mdb") as file:
        assert file.get(b"5") == expected.get(b"5")


def test_every_damaged_page_is_named_and_none_ends_the_process(entries, tmp_path):
    """Each page in turn zeroed, and replaced by another page."""
    folder, expected = entries
    whole = (folder / "data.mdb").read_bytes()
    path = tmp_path / "data.mdb"
    messages = 0
    for page in range(len(whole) // PAGE):
        for content in (bytes(PAGE), whole[2 * PAGE : 3 * PAGE]):
            damaged = bytearray(whole)
            damaged[page * PAGE : (page + 1) * PAGE] = content
            path.write_bytes(damaged)
            try:
                with LmdbFile(tmp_path) as file:
                    found = dict(file.items())
            except UserError as error:
                messages += 1
                assert str(tmp_path) in str(error) and "fetch it again" in str(error)
            else:  # a free page, or the inside of a long value
                assert found.keys() == expected.keys()
    assert messages > 30


def test_lmdb_cut_anywhere_is_refused(entries, tmp_path):
    whole = (entries[0] / "data.mdb").read_bytes()
    for length in (0, 1, 100, PAGE, 2 * PAGE - 1, 2 * PAGE, len(whole) - PAGE):
        (tmp_path / "data.mdb").write_bytes(whole[:length])
        with pytest.raises(UserError, match="fetch it again"):
            LmdbFile(tmp_path)


def test_pages_that_lead_to_each_other_come_to_an_end(entries, tmp_path):
    whole = bytearray((entries[0] / "data.mdb").read_bytes())
    branches = [
        at
        for at in range(2 * PAGE, len(whole), PAGE)
        if whole[at + 10] == 1
        and int.from_bytes(whole[at : at + 8], "little") == at // PAGE
    ]
    for at in branches:
        first = int.from_bytes(whole[at + 16 : at + 18], "little")
        whole[at + first : at + first + 6] = (at // PAGE).to_bytes(6, "little")
    assert branches
    (tmp_path / "data.mdb").write_bytes(whole)
    with pytest.raises(UserError, match="data.mdb is damaged"):
        LmdbFile(tmp_path)


# ---- HDF5 ----


def test_a_file_that_crashes_the_library_is_named(tmp_path, monkeypatch):
    """The library's crash is played by the child: no file is known that does it."""
    path = write_regions(tmp_path, "hdf5")
    killer = scout._Scout()
    monkeypatch.setattr(scout, "_scout", killer)
    monkeypatch.setattr(
        scout,
        "_START",
        f"""
import json, os, signal, sys
for line in sys.stdin.buffer:
    if json.loads(line)[1] == {IDS[2]!r}:
        os.kill(os.getpid(), signal.SIGSEGV)
    sys.stdout.buffer.write(b"."), sys.stdout.buffer.flush()
""",
    )
    with open_regions(path) as source:
        assert source.read(IDS[1]).num_boxes == 36
        crash = f"the HDF5 library crashes at image {IDS[2]}; the file is damaged"
        with pytest.raises(UserError, match=crash):
            source.read(IDS[2])
        bad = {}
        stacked = source.read_all(IDS, lambda name, error: bad.update({name: error}))
        assert list(bad) == [IDS[2]] and len(stacked) == len(IDS) - 1
        monkeypatch.setattr(scout, "_START", "import time; time.sleep(60)")
        monkeypatch.setattr(scout, "_SECONDS", 0.2)
        killer.end()
        with pytest.raises(UserError, match="does not come to an end at image"):
            source.read(IDS[1])
    killer.end()


def test_a_file_that_keeps_the_library_busy_is_named(tmp_path, monkeypatch):
    """Damaged by chance: the library reads it and never returns."""
    path = tmp_path / "s.h5"
    damaged = ROOT / "tests" / "data" / "field" / "hdf5_without_an_end.h5.gz"
    path.write_bytes(gzip.decompress(damaged.read_bytes()))
    monkeypatch.setattr(scout, "_SECONDS", 2.0)
    with pytest.raises(UserError, match="the HDF5 library does not come to an end"):
        open_regions(path)


def test_a_busy_child_ends_without_its_parent():
    """Nobody is left to give it up."""
    script = "from xabl.data.regions import scout; scout._end_after(0.2)\nwhile 1: 0"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGALRM


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with open_regions(write_regions(folder, "tsv")) as source:
        import_regions(source, IDS, folder / "s.h5")
    return folder / "s.h5"


def test_a_flipped_bit_in_a_store_is_noticed(whole_store, tmp_path):
    """Wherever it is: either what is read is what was imported, or it is refused."""
    whole = whole_store.read_bytes()
    with open_regions(whole_store) as source:
        right = source.read_all(IDS).sha256()
    drawn = random.Random(1)
    path = tmp_path / "s.h5"
    refused = 0
    for place in [*range(0, 2000, 80), *drawn.sample(range(len(whole)), 40)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << drawn.randrange(8)
        path.write_bytes(damaged)
        try:
            with open_regions(path) as source:
                found = source.read_all(IDS).sha256()
        except UserError as error:
            refused += 1
            assert str(path) in str(error)
        else:
            assert found == right
    assert refused > 20


def test_the_message_says_that_it_was_imported_otherwise(whole_store, tmp_path):
    path = tmp_path / "s.h5"
    path.write_bytes(whole_store.read_bytes())
    with h5py.File(path, "r+") as file:
        file["features"][2, 5, 7] += 0.25
    with open_regions(path) as source:
        source.read(IDS[1])
        with pytest.raises(UserError, match=f"image {IDS[2]} is not what was im"):
            source.read(IDS[2])
    assert IDS[2] in inspect_path(path).problems[0]


def test_stores_of_before_are_read(whole_store, tmp_path):
    path = tmp_path / "s.h5"
    path.write_bytes(whole_store.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["sha256"]
    with open_regions(path) as source:
        assert len(source.read_all(IDS)) == len(IDS)


# ---- Results ----


def test_a_flipped_bit_in_results_is_noticed(tmp_path):
    fake_results.write_results(
        tmp_path / "fake", fake_results.paper_models()[0], num_images=4
    )
    table = pq.read_table(tmp_path / "fake" / "scores.parquet")
    results = ResultsDirectory(tmp_path / "results", overwrite=False, resume=False)
    examples = pq.read_table(tmp_path / "fake" / "examples.parquet")
    tables = {"scores.parquet": table, "examples.parquet": examples}
    results.write(tables, "", {"format": 1})
    path = tmp_path / "results" / "scores.parquet"
    right = read_file(tmp_path / "results", SCORES)
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little") + 8  # which has no checksum
    drawn = random.Random(2)
    for place in drawn.sample(range(4, len(whole) - footer), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << drawn.randrange(8)
        path.write_bytes(damaged)
        try:
            found = read_file(tmp_path / "results", SCORES)
        except UserError as error:
            assert str(path) in str(error)
        else:  # in a part that is not read, as the offsets of pages
            assert found.equals(right)


# ---- Disks ----


class Full:
    """A disk on which files end after so many bytes."""

    def __init__(self, size):
        self._size = size

    def __enter__(self):
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._before[1]))

    def __exit__(self, *exception):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.mark.parametrize("size", [0, 10_000, 1_000_000])
@pytest.mark.parametrize("form", ["store", *FORMS])
def test_a_disk_that_fills_up_leaves_a_message_and_nothing_else(tmp_path, form, size):
    output = tmp_path / "out" / "regions"
    write = {
        "store": lambda: store.write(output, iter(IMAGES), IDS, {"name": "x"}),
        "hdf5": lambda: hdf5_files.write(output, iter(IMAGES)),
        "tsv": lambda: tsv_files.write(output, iter(IMAGES)),
        "lmdb": lambda: lmdb_files.write(output, iter(IMAGES)),
        "lmdb_arrays": lambda: lmdb_files.write(output, iter(IMAGES), as_arrays=True),
    }[form]
    with Full(size):
        with pytest.raises(
            UserError, match=f"{output} cannot be written .*choose anoth"
        ):
            write()
    assert not output.parent.exists()
    write()
    with open_regions(output) as source:
        np.testing.assert_array_equal(source.read(IDS[3]).boxes, IMAGES[3].boxes)


def test_room_is_asked_for_before_a_store_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "shutil.disk_usage", lambda folder: type("", (), {"free": 2**20})
    )
    with pytest.raises(UserError, match="it needs 3 MiB, 1 MiB are free"):
        store.write(tmp_path / "s.h5", iter(IMAGES), IDS, {"name": "x"})
    assert os.listdir(tmp_path) == []


def test_the_child_ends_with_its_parent(tmp_path):
    """Also with one that is killed: the child reads the end of its input."""
    path = write_regions(tmp_path, "hdf5")
    script = f"""
import os, signal
from xabl.data.regions import open_regions, scout
open_regions({str(path)!r}).read({IDS[0]!r})
print(scout._scout._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    child = int(done.stdout)
    for _ in range(100):
        try:
            with open(f"/proc/{child}/stat") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        subprocess.run(["sleep", "0.1"])
    raise AssertionError("the child still runs")
