"""A lock that a dead process does not keep."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import binaries
from xabl.support import lease

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
    deadline = time.monotonic() + 5
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
        deadline = time.monotonic() + 5
        while file.stat().st_mtime == 0:
            assert time.monotonic() < deadline


def test_never_two_at_a_time(folder, tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [python(_COUNT, folder, counter) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [""] * 4
    assert counter.read_text() == "80"
