"""Whose turn it is, and what becomes of jobs, in one process and without models."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest

from xabl.errors import UserError
from xabl.studies import worker
from xabl.studies.events import read_events
from xabl.studies.jobs import Board, Job, MayPass, State
from xabl.studies.pool import Patience, Pool, places
from xabl.support import lease


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note(Job):
    """Writes its name into a file, or fails in one of the ways there are."""

    name: str
    folder: Path
    after: tuple[str, ...] = ()
    is_alone: bool = False
    work: float = 1.0
    alike: str = ""
    fails: str = ""
    times: int = 99

    def is_done(self):
        return (self.folder / f"{self.name}.done").exists()

    def do(self, desk, on_progress):
        with open(self.folder / "order", "a") as order:
            order.write(self.name + " ")
        print("working on", self.name)
        tried = (self.folder / "order").read_text().split().count(self.name)
        if self.fails and tried <= self.times:
            if self.fails == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fails == "loses":
                # As if it had been suspended, and another machine had begun it anew.
                for file in (self.folder / "study" / "locks").glob("*/*.json"):
                    file.unlink()
                (self.folder / f"{self.name}.done").write_text("by another")
                lease.check()
            if self.fails == "stops":
                os.kill(os.getpid(), signal.SIGTERM)
                on_progress(1, 2, "notes")
            if self.fails == "held":
                with lease.acquire(self.folder / "held"):
                    lease.acquire(self.folder / "held", patience=0.01)
            raise {"user": UserError, "passes": MayPass, "bug": KeyError}[self.fails](
                "no such thing"
            )
        on_progress(1, 1, "notes")
        (self.folder / f"{self.name}.done").write_text("")


@pytest.fixture
def board(tmp_path):
    def of(*jobs, retries=0):
        made = [Note(**{"folder": tmp_path, **job}) for job in jobs]
        return Board(tmp_path / "study", made, retries)

    return of


def order(board):
    return (board.folder.parent / "order").read_text().split()


def test_alike_jobs_follow_each_other(board):
    names = ["a1", "b1", "a2", "b2"]
    jobs = board(*({"name": name, "alike": name[0]} for name in names))
    assert worker.work(jobs) == 4
    assert order(jobs) == ["a1", "a2", "b1", "b2"]
    assert set(jobs.states().values()) == {State.DONE}


def test_a_new_worker_begins_with_what_nobody_has_begun(board):
    jobs = board(*({"name": name, "alike": name[0]} for name in ("a1", "a2", "b1")))
    first, _ = jobs.take()
    second, _ = jobs.take()
    assert (first.name, second.name) == ("a1", "b1")


def test_a_job_waits_for_another_and_fails_with_it(board):
    jobs = board({"name": "second", "after": ("first",)}, {"name": "first"})
    assert list(jobs.states().values()) == [State.WAITING, State.READY]
    worker.work(jobs)
    assert order(jobs) == ["first", "second"]
    jobs = board(
        {"name": "y", "after": ("x",)}, {"name": "x", "fails": "user"}, {"name": "z"}
    )
    worker.work(jobs)
    assert jobs.states() == {"y": State.FAILED, "x": State.FAILED, "z": State.DONE}
    assert jobs.reason(jobs.jobs[0]) == "needs x, which failed"
    assert jobs.reason(jobs.jobs[1]) == "no such thing"
    (jobs.folder.parent / "z.done").unlink()
    assert jobs.reason(jobs.jobs[2]).startswith("its results were removed meanwhile")


@pytest.mark.parametrize(
    ("fails", "retries", "tries"),
    [("user", 3, 1), ("passes", 3, 4), ("bug", 2, 3), ("held", 1, 2)],
)
def test_what_may_pass_is_tried_again(board, fails, retries, tries):
    jobs = board({"name": "x", "fails": fails}, retries=retries)
    worker.work(jobs)
    assert order(jobs) == ["x"] * tries
    assert jobs.states() == {"x": State.FAILED}
    jobs.forget_failures()
    assert jobs.states() == {"x": State.READY}


def test_what_passed_is_forgotten(board):
    jobs = board({"name": "x", "fails": "passes", "times": 2}, retries=3)
    worker.work(jobs)
    assert (jobs.states(), jobs.failure(jobs.jobs[0])) == ({"x": State.DONE}, None)
    events = read_events(jobs.folder)
    assert [event["event"] for event in events] == [
        *("began", "failed") * 2,
        *("began", "progress", "finished"),
    ]
    assert [event["again"] for event in events if event["event"] == "failed"] == [
        True,
        True,
    ]


def test_half_a_line_of_an_event_is_passed_over(board):
    jobs = board({"name": "x"})
    worker.work(jobs)
    (path,) = (jobs.folder / "events").glob("*.jsonl")
    whole = path.read_bytes()
    for more in (b'{"time": 1', b"null", b"3", b"[]", b"{}", b"\0\0\n", b"\xff"):
        path.write_bytes(whole + more)
        assert len(read_events(jobs.folder)) == 3
    assert all(json.loads(line) for line in whole.splitlines())


def test_a_job_somebody_has_is_left_to_them(board):
    jobs = board({"name": "x"}, {"name": "y"})
    with lease.acquire(jobs.folder / "locks" / "x"):
        assert jobs.states() == {"x": State.RUNNING, "y": State.READY}
        worker.work(jobs)
        assert order(jobs) == ["y"]
    worker.work(jobs)
    assert order(jobs) == ["y", "x"]


def test_a_run_that_another_took_meanwhile_is_left_to_it(board):
    """Neither a failure nor a success is noted, and the others are done."""
    jobs = board(
        {"name": "x", "fails": "loses"}, {"name": "y"}, {"name": "z", "alike": "z"}
    )
    assert worker.work(jobs) == 2
    assert order(jobs) == ["x", "y", "z"]
    assert (jobs.folder.parent / "x.done").read_text() == "by another"
    events = [(event["event"], event["run"]) for event in read_events(jobs.folder)]
    assert events.count(("lost", "x")) == 1
    assert not {("finished", "x"), ("failed", "x")} & {*events}
    assert jobs.failure(jobs.jobs[0]) is None


def test_sigterm_ends_the_work_between_two_steps(board):
    jobs = board({"name": "x", "fails": "stops"}, {"name": "y"})
    with pytest.raises(worker.Stopped):
        worker.work(jobs)
    assert jobs.states() == {"x": State.READY, "y": State.READY}
    assert jobs.failure(jobs.jobs[0]) is None
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_workers_that_share_an_accelerator_share_its_memory():
    told = [dict(place.environment) for place in places(3, ["0", "1"])]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in told] == ["0", "1", "0"]
    assert {each["XLA_PYTHON_CLIENT_MEM_FRACTION"] for each in told} == {"0.450"}
    assert not places(2)[0].environment
    assert len(places(2, ["0", "1"])[0].environment) == 1


def test_a_worker_that_is_killed_takes_one_job_with_it(board):
    jobs = board(
        {"name": "dies", "fails": "dies"},
        {"name": "once", "fails": "dies", "times": 1},
        {"name": "alone", "is_alone": True},
        {"name": "last", "after": ("alone",)},
        retries=1,
    )
    with Pool(jobs, places(1)) as pool:
        for _ in pool.run():
            pass
    states = jobs.states()
    assert states.pop("dies") is State.FAILED
    assert set(states.values()) == {State.DONE}
    assert jobs.reason(jobs.jobs[0]) == "its process ended with signal 9"
    assert jobs.log(jobs.jobs[3]).read_text() == "working on last\n"
    assert sorted(order(jobs)) == ["alone", "dies", "dies", "last", "once", "once"]
    died = [event for event in read_events(jobs.folder) if event["event"] == "died"]
    assert [(event["run"], event["again"]) for event in died].count(
        ("dies", False)
    ) == 1


def test_workers_that_end_at_their_start_do_not_end_the_work_of_others():
    patience = Patience()
    for number in range(20):
        patience.ended(-9, now=100.0, had_job=False, others_work=True)
        assert patience.until == 100.0 + min(2.0**number, 60.0)
    patience.ended(-9, now=100.0, had_job=True, others_work=False)
    assert patience.until == 100.0  # a new one at once
    for _ in range(3):
        patience.ended(-9, now=100.0, had_job=False, others_work=False)
    with pytest.raises(UserError, match="4 workers ended, the last with status -9"):
        patience.ended(-9, now=100.0, had_job=False, others_work=False)
