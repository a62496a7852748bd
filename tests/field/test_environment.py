"""Machines as they are: closed folders, no home, no such device, a pipe that ends."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import xabl as front_door
from tests.helpers import ablation, binaries, golden_world, tiny_runs
from tests.helpers.ablation_binaries import AT_WORK
from tests.helpers.binaries import ROOT
from tests.helpers.golden_world import ENTITIES, VOCABULARY
from tests.helpers.torch_writer import write_torch_file
from xabl import analysis
from xabl.data.flickr30k_entities import read_split
from xabl.data.regions import open_regions
from xabl.errors import UserError, from_system
from xabl.inspection import inspect_path
from xabl.models import model_directory
from xabl.pretraining import configuration
from xabl.results import checking, reading
from xabl.studies.record import Recorded, read_record, write_record
from xabl.studies.study_file import read_study
from xabl.studies.sweep import SweepOptions, sweep
from xabl.support import compilation_cache, devices, lease
from xabl.support.atomic import new_directory, new_file
from xabl.synthetic.parallel_trials import run_trials

LONG = "n" * 300
NOBODY = 65534


def xabl(*arguments, prefix=(), **changed):
    """A command as a user runs it: exit status, standard output and error.

    prefix: of its command line, for a process that may do less than this one.
    """
    environment = os.environ | changed
    if not prefix:
        words = map(str, arguments)
        done = binaries.run_words("xabl", *words, environment=environment)
        return done.status, done.out, done.err
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "xabl", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


# ---- Folders one may not enter ----


@pytest.fixture
def closed(tmp_path):
    """Another user's folder, and what takes the right to enter it from root."""
    folder = tmp_path / "closed"
    folder.mkdir()
    shutil.copy(VOCABULARY, folder)
    if os.geteuid() != 0:
        folder.chmod(0)
        yield folder, ()
        folder.chmod(0o700)
        return
    if shutil.which("setpriv") is None:
        pytest.fail("as root, this needs setpriv (util-linux)")
    os.chown(folder, NOBODY, NOBODY)
    folder.chmod(0o700)
    yield folder, ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.parametrize(
    "use",
    [
        "inspect --path={c}",
        "inspect --path={c}/vocab.txt",
        "import --source={c}/r.h5 --image_ids={e}/val.txt --output={o}/s.h5",
        "import --source={r} --image_ids={c}/val.txt --output={o}/s.h5",
        "import --source={r} --image_ids={e}/val.txt --output={c}/s.h5",
        "convert --checkpoint={c}/m.bin --config=bert_base --output={o}/m",
        "ablate --model={c}/model --entities={e} --regions={r} --output={o}/a",
    ],
)
def test_a_folder_one_may_not_enter_is_named(tmp_path, closed, use):
    folder, prefix = closed
    (tmp_path / "out").mkdir()
    regions = golden_world.write_regions(tmp_path, "tsv")
    places = dict(c=folder, e=ENTITIES, r=regions, o=tmp_path / "out")
    given = [word.format(**places) for word in use.split()]
    status, out, err = xabl(*given, prefix=prefix)
    assert (status, out) == (1, "")
    [line] = [line for line in err.splitlines() if not AT_WORK.match(line)]
    assert line.startswith(f"error: {folder}") and "Permission denied" in line
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.skipif(not os.path.isdir("/sys"), reason="Linux has it")
@pytest.mark.parametrize(
    "use",
    [
        "convert {m}.bin --config={m}/config.json --output={o}",
        "foils --model={m} --foils={f} --regions={r} --output={o}",
        "pretrain --config={t} --workdir={o}",
    ],
)
def test_an_output_where_not_even_root_may_write(tmp_path, workshop, use):
    model, foils = workshop.small_model("uniter"), tmp_path / "foils.json"
    foils.write_text("{}")
    config = model_directory.load_config(model)
    write_torch_file(f"{model}.bin", ablation.ruled_tensors(config), "zip")
    training = tiny_runs.config_file(tiny_runs.write_data(tmp_path))
    places = dict(m=model, f=foils, r=workshop.regions("tsv"), t=training)
    status, out, err = xabl(*use.format(**places, o="/sys/output").split())
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: /sys/") and "cannot be written" in err
    refused = "Operation not permitted|Permission denied|Read-only file system"
    assert re.search(refused, err) and re.search("another (output|path)|choose", err)


def test_what_is_read_is_not_called_an_output(tmp_path):
    """An error while a file is written names the file that it is about."""
    for name in ("source", tmp_path / "elsewhere"):
        refused = PermissionError(13, "Permission denied", str(name))
        with pytest.raises(UserError, match=f"^{name}: Permission denied; ask"):
            with new_file(tmp_path / "output"):
                raise refused
    with pytest.raises(UserError, match="output cannot be written .No space left"):
        with new_file(tmp_path / "output"):
            raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


# ---- Names ----


def test_names_that_are_too_long_are_one_message(tmp_path):
    long = tmp_path / LONG
    uses = [
        lambda: inspect_path(long),
        lambda: open_regions(long),
        lambda: new_file(long).__enter__(),
        lambda: new_directory(long).__enter__(),
        lambda: front_door.load(long),
        lambda: front_door.regions(long),
        lambda: reading.read(long),
        lambda: checking.check(long),
        lambda: analysis.load_study([long]),
        lambda: configuration.load(long),
        lambda: read_study(long),
        lambda: read_record(long),
        lambda: run_trials([], long, 1),
        lambda: sweep(SweepOptions(study=Path("synthetic_world"), output=long)),
    ]
    for use in uses:
        with pytest.raises(UserError, match="File name too long") as refused:
            use()
        assert "Errno" not in str(refused.value)
    for use in (
        lambda: read_split(ENTITIES, LONG),
        lambda: model_directory.load_config(long),
    ):
        # The commands say so in a line (`from_system`).
        with pytest.raises(OSError, match="File name too long") as error:
            use()
        assert "give a shorter one" in str(from_system(error.value))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["n" * 250, "é" * 120])
def test_long_names_that_are_allowed_are_written(tmp_path, name):
    with new_file(tmp_path / name) as temporary:
        temporary.write_text("new")
    with new_directory(tmp_path / f"d{name[1:]}") as temporary:
        (temporary / "file").write_text("new")
    assert sorted(os.listdir(tmp_path)) == sorted([name, f"d{name[1:]}"])


def test_who_may_only_read_a_study_sees_its_status(tmp_path, closed):
    """Locks are judged, and left as they are."""
    folder, prefix = closed
    folder.chmod(0o755)
    runs = [
        Recorded(
            name=name,
            key="k",
            finished=folder / "no",
            after=(),
            is_alone=False,
            work=1.0,
        )
        for name in ("mine", "far", "free")
    ]
    write_record(folder, runs)
    with lease.acquire(folder / "locks" / "mine"):
        (file,) = (folder / "locks" / "mine").iterdir()
        for name in ("far", "free"):
            lock = folder / "locks" / name
            lock.mkdir()
            holder = json.loads(file.read_text()) | {"machine": "another"}
            (lock / "theirs.json").write_text(json.dumps(holder))
        os.utime(lock / "theirs.json", (0, 0))
        for path in (*folder.rglob("*"), folder):
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
            elif path.is_dir():
                path.chmod(0o555)
        shown = xabl("sweep", "--status", f"--output={folder}", prefix=prefix)
        assert (lock / "theirs.json").exists()
        for path in (folder, *folder.rglob("*")):
            if os.geteuid() != 0 and path.is_dir():
                path.chmod(0o755)
    assert shown[0] == 0, shown
    states = [line.split()[:2] for line in shown[1].splitlines()[3:]]
    assert states == [["mine", "waiting"], ["far", "waiting"], ["free", "ready"]]


# ---- Homes and platforms ----


@pytest.fixture
def no_cache():
    """JAX without a cache folder, as it starts."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_without_a_home_there_is_no_cache_and_no_matter(no_cache, monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nobody(user):
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    compilation_cache.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None


def test_a_home_that_cannot_be_written_is_left_alone(no_cache, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    compilation_cache.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compilation_cache.use_compilation_cache()
    expected = str(tmp_path / "cache" / "xabl" / "compiled")
    assert jax.config.jax_compilation_cache_dir == expected
    # A user's own stays: this one, from now on.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    compilation_cache.use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == expected


@pytest.mark.parametrize("platform", ["nonsense", "cuda"])
def test_a_platform_that_is_not_there_is_named(platform):
    script = """
from xabl.errors import UserError
from xabl.support.devices import LocalDevices
try:
    LocalDevices()
except UserError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": platform},
        capture_output=True,
        text=True,
    )
    expected = f"JAX_PLATFORMS={platform}: JAX finds no such device here"
    if platform == "cuda" and not done.stdout:
        pytest.skip("this machine has a GPU")
    assert done.stdout.startswith(expected)
    assert done.stdout.endswith("; unset it, or set it to cpu\n")


@pytest.mark.parametrize(
    ("processor", "lacks"),
    [
        ("flags\t\t: fpu vme avx512f avx512_bf16 amx_tile\nbugs\t: \n", False),
        ("flags\t\t: fpu amx_bf16\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd i8mm bf16 bti\n", False),
        ("model name\t: bf16\nflags\t\t: fpu avx512f\nvmx flags\t: bf16\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd\n", True),
        ("isa\t\t: rv64imafdc\n", False),  # nothing that is known
        (None, False),  # nor does every system say
    ],
)
def test_processors_without_bfloat16_are_known(processor, lacks, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    if processor is not None:
        path.write_text(processor)
    monkeypatch.setattr(devices, "_PROCESSOR", path)
    assert devices.LocalDevices(1).lack_bfloat16 is lacks


# ---- Pipes and terminals ----


def test_a_pipe_that_ends_is_no_error():
    """As in `xabl inspect ... | head -1`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "xabl", "inspect", f"--path={VOCABULARY}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    with process:
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_error(tmp_path, closed):
    """Nor does what is written get the number of standard output."""
    command = binaries.command(
        "experiments.import_regions",
        source=golden_world.write_regions(tmp_path, "tsv"),
        image_ids=ENTITIES / "val.txt",
        output=tmp_path / "s.h5",
    )
    done = subprocess.run(f"exec {shlex.join(command)} {closed}", shell=True, cwd=ROOT)
    assert done.returncode == 0
    with open_regions(tmp_path / "s.h5") as source:
        assert len(source.read_all(source.image_ids)) == 6


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_output_that_cannot_be_printed_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "xabl", "inspect", f"--path={VOCABULARY}"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device; make room")


def test_a_narrow_terminal_changes_nothing():
    status, out, err = xabl("inspect", f"--path={VOCABULARY}", COLUMNS="20", LINES="5")
    assert (status, err) == (0, "")
    assert "vocabulary of word pieces" in out


def test_a_clock_that_jumps_changes_nothing(monkeypatch, capsys):
    """Time left is counted by a clock that only goes on."""
    from xabl.support.progress import Progress

    for moment in (0.0, 1e12, -1e9):
        monkeypatch.setattr("time.time", lambda moment=moment: moment)
        with Progress(2, "images", first="reading") as progress:
            progress.update()
            progress.update()
    assert capsys.readouterr().err.count("100% 2/2 images") == 3


def test_a_folder_that_is_a_file_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    for make in (new_file, new_directory):
        with pytest.raises(UserError, match="cannot be written|Not a directory"):
            with make(tmp_path / "file" / "output"):
                pass
    assert Path(tmp_path / "file").read_text() == ""
