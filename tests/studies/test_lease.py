"""A lock that a dead process does not keep."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.helpers import binaries
from xabl.ablation.engine.unfinished import KeptScores
from xabl.support import lease
from xabl.support.atomic import new_directory, new_file

_HOLD = """
import sys, time
from xabl.support import lease
held = lease.acquire(sys.argv[1], "holds it")
print("held", flush=True)
time.sleep(60)
"""
_COUNT = """
import os, sys, time
from xabl.support import lease
folder, counter = sys.argv[1:]
done = 0
while done < 20:
    try:
        held = lease.acquire(folder)
    except lease.Held:
        continue
    with held:
        # Two at a time would lose a count, or find the other's file.
        os.close(os.open(counter + ".inside", os.O_CREAT | os.O_EXCL))
        number = int(open(counter).read())
        time.sleep(0.001)
        open(counter, "w").write(str(number + 1))
        os.unlink(counter + ".inside")
    done += 1
"""


def python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=binaries.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def other(folder):
    """A process that holds the lock."""
    with python(_HOLD, folder) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_is_held_and_given_back(folder):
    with lease.acquire(folder, "first") as mine:
        assert mine.is_mine
        with pytest.raises(lease.Held, match=f"process {os.getpid()} .*, first"):
            lease.acquire(folder)
    assert not folder.exists()
    lease.acquire(folder).release()


def test_says_who_holds_it_until_that_process_is_killed(folder, other):
    with pytest.raises(lease.Held, match="holds it") as refused:
        lease.acquire(folder)
    assert refused.value.holder.process == other.pid
    other.send_signal(signal.SIGKILL)
    # Not even waited for: a process that has ended holds nothing.
    deadline = time.monotonic() + 60
    while lease.holders(folder):
        assert time.monotonic() < deadline
    lease.acquire(folder).release()


def test_a_number_given_to_another_process_is_not_the_holder(folder, other):
    (file,) = folder.glob("*.json")
    holder = json.loads(file.read_text())
    file.write_text(json.dumps(holder | {"process_start": "1"}))
    assert lease.holders(folder) == []


def test_another_machine_is_believed_as_long_as_it_renews(folder):
    folder.mkdir()
    file = folder / "theirs.json"
    theirs = lease.Holder(
        host="far", machine="far 1", process=1, process_start="1", since=0.0
    )
    file.write_text(json.dumps(vars(theirs)))
    with pytest.raises(lease.Held, match="process 1 on far"):
        lease.acquire(folder)
    past = time.time() - lease.EXPIRES_AFTER - 1
    os.utime(file, (past, past))
    with lease.acquire(folder):
        assert not file.exists()


def test_files_are_renewed(folder, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.01)
    monkeypatch.setattr(lease, "_renewal", lease._Renewal())
    with lease.acquire(folder):
        (file,) = folder.glob("*.json")
        os.utime(file, (0, 0))
        deadline = time.monotonic() + 60
        while file.stat().st_mtime == 0:
            assert time.monotonic() < deadline


def stolen(folder):
    """What another machine does with a lock that was not renewed for long."""
    for file in folder.glob("*.json"):
        file.unlink()
    theirs = lease.Holder(
        host="far", machine="far 1", process=1, process_start="1", since=time.time()
    )
    (folder / "theirs.json").write_text(json.dumps(vars(theirs)))


def test_who_has_lost_it_puts_nothing_in_place(folder, tmp_path):
    kept = KeptScores(tmp_path / "kept")
    mine = lease.acquire(folder)
    kept.begin({})
    lease.check()
    stolen(folder)
    assert not mine.is_mine
    for write in (
        lease.check,
        lambda: written(new_file(tmp_path / "file")),
        lambda: written(new_directory(tmp_path / "directory")),
        kept.flush,
        lambda: kept.begin({}),
    ):
        with pytest.raises(lease.Lost, match=f"{folder}: the lock .* is gone"):
            write()
    assert sorted(os.listdir(tmp_path)) == ["kept", "lock"]
    mine.release()
    assert [holder.host for holder in lease.holders(folder)] == ["far"]
    lease.check()
    written(new_file(tmp_path / "file"))
    assert (tmp_path / "file").exists()


def written(new):
    with new as path:
        if not path.is_dir():
            path.write_text("")


def test_a_check_renews(folder):
    with lease.acquire(folder):
        (file,) = folder.glob("*.json")
        os.utime(file, (0, 0))
        lease.check()
        assert file.stat().st_mtime > 0


def test_is_waited_for(folder, monkeypatch, capsys):
    monkeypatch.setattr(lease, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(lease, "_ATTEMPTS", 1)
    first = lease.acquire(folder, "first")
    with pytest.raises(lease.Held):
        lease.acquire(folder, patience=0.05)
    said = capsys.readouterr().err
    assert said.count("first; waiting, 0 s at most") == 1
    threading.Timer(0.1, first.release).start()
    with lease.acquire(folder, patience=30.0):
        assert len(lease.holders(folder)) == 1


def test_what_was_half_written_is_judged_by_its_name(folder, other, monkeypatch):
    """A process may be killed, or its disk be full, between two system calls."""
    (file,) = folder.glob("*.json")
    file.write_text("")
    (holder,) = lease.holders(folder)
    assert holder.process == other.pid
    other.kill()
    other.wait()
    assert lease.holders(folder) == []

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lease.os, "write", full)
        with pytest.raises(OSError, match="No space"):
            lease.acquire(folder)
    assert not folder.exists()
    lease.acquire(folder).release()


def test_never_two_at_a_time(folder, tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [python(_COUNT, folder, counter) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [""] * 4
    assert counter.read_text() == "80"
