"""A file that cannot be read any more is named, and not taken for a damaged one."""

import os

import pytest

from tests.helpers import binaries, unreadable
from tests.helpers.golden_world import ENTITIES, write_regions
from xabl.data.checkpoints.opening import open_checkpoint
from xabl.data.regions import open_regions
from xabl.errors import DiskFails, UserError, naming

SAID = "cannot be read: Input/output error; the disk fails: copy what is on it"


def test_every_reader_names_the_file_whose_disk_fails(tmp_path):
    """Whatever library reads it; at its beginning, and at its last bytes."""
    struck = set()
    for kind, path, at, failed, mapped, said in unreadable.said(2, tmp_path):
        # The system ends a process that reads such a file in memory.
        assert not mapped, path
        folder = path.rpartition("/")[0]  # all that some libraries know
        if failed:
            struck.add((kind, at > 0))
            assert folder.removesuffix("/data") in said and SAID in said, (path, said)
        else:  # a page that holds nothing
            assert (kind, said) == ("lmdb", "") and at, path
    kinds = {(kind, deep) for kind in unreadable.KINDS for deep in (False, True)}
    assert kinds - struck <= {("lmdb", True)}


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="Linux has it")
@pytest.mark.parametrize(
    "use",
    [
        "inspect {p}.bin",
        "import --source={p} --image_ids={e}/val.txt --output={o}/s.h5",
        "import --source={r} --image_ids={p} --output={o}/s.h5",
        "convert --checkpoint={p}.bin --output={o}/m",
        "corpus --source={r} --captions={p} --output={o}/c",
        "sweep --study={p} --output={o}/s",
        "pretrain --config={p} --workdir={o}/w",
    ],
)
def test_a_command_says_so_and_leaves_nothing(tmp_path, use):
    """The first bytes of this file, which is an ordinary one, cannot be read."""
    for name in ("p", "p.bin"):
        (tmp_path / name).symlink_to("/proc/self/mem")
    (tmp_path / "out").mkdir()
    regions = write_regions(tmp_path, "tsv")
    places = dict(p=tmp_path / "p", e=ENTITIES, r=regions, o=tmp_path / "out")
    done = binaries.run_words("xabl", *use.format(**places).split())
    assert done.status == 1 and done.out == ""
    assert done.err.startswith("error: ") and f"{tmp_path / 'p'}" in done.err
    assert SAID in done.err and len(done.err.splitlines()) == 1
    assert os.listdir(tmp_path / "out") == []


def test_what_libraries_make_of_it_is_seen_through():
    for raised in (
        OSError(5, "Input/output error"),
        OSError("file read failed: errno = 5, error message = 'Input/output error'"),
        ValueError("INTERNAL: Input/output error [source locations='...']"),
    ):
        with pytest.raises(DiskFails, match="^a.bin: " + SAID):
            with naming("a.bin"):
                raise raised
    with pytest.raises(DiskFails, match="^a.bin: " + SAID):
        with naming("a.bin"):
            try:
                raise OSError(5, "Input/output error")
            except OSError as error:
                raise RuntimeError("not a zip file") from error
    with pytest.raises(DiskFails, match="a.bin: .*Stale file handle; mount the netw"):
        with naming("a.bin"):
            raise OSError(116, "Stale file handle")
    for other in (ValueError("not a zip file"), FileNotFoundError(2, "x"), UserError()):
        with pytest.raises(type(other)) as found:
            with naming("a.bin"):
                raise other
        assert found.value is other


# ---- Files that become shorter while they are read ----


@pytest.mark.parametrize("form", ["tsv", "lmdb", "hdf5"])
def test_regions_that_become_shorter_are_refused(tmp_path, form):
    path = write_regions(tmp_path, form)
    with open_regions(path) as source:
        image_id = source.image_ids[-1]
        file = path / "data.mdb" if path.is_dir() else path
        os.truncate(file, file.stat().st_size // 3)
        with pytest.raises(UserError, match=f"^{path}"):
            source.read(image_id)


@pytest.mark.parametrize("layout", ["torch zip", "torch legacy", "safetensors"])
def test_a_checkpoint_that_becomes_shorter_is_refused(tmp_path, layout):
    """In memory, as the library has it by itself, it would end the process."""
    unreadable.checkpoint(layout)(tmp_path)
    [path] = tmp_path.iterdir()
    tensors = open_checkpoint(path).tensors
    for size in (path.stat().st_size - 40, 9, 0):
        os.truncate(path, size)
        with pytest.raises(UserError, match=f"^{path}"):
            for tensor in tensors.values():
                tensor.read()
