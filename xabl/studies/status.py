"""How far a study is: all of it and each run, on one screen."""

import dataclasses
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xabl.results.summary import aligned
from xabl.studies.events import read_events
from xabl.studies.jobs import Board, Job, State
from xabl.studies.record import read_record

_BAR = 20
# Of a training followed by its ablation, what the training is.
_TRAINING = 0.9
# Of the work, before what it took says how long the rest will take.
_ENOUGH = 0.02
_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_SCREENS = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    """A run: its state, the part of it that is done, and what else is to be said."""

    job: Job
    state: State
    part: float
    note: str


def show_status(folder: Path) -> str:
    """How far the study of a folder is.

    Raises:
        UserError: none was begun there.
    """
    return screen(Board(folder, read_record(folder)))


def screen(board: Board, height: int | None = None) -> str:
    """The state of a study.

    Args:
        height: lines there are; without it every run has a line.
    """
    rows, last = _rows(board)
    lines = [_summary(rows, last)]
    shown = rows
    if height is not None and len(rows) > height - 2:
        # What happens and what went wrong first; the summary counts the others.
        shown = [r for r in rows if r.state in (State.RUNNING, State.FAILED)]
    table = [
        [row.job.name, row.state.value, _bar(row.part), row.note]
        for row in shown[: None if height is None else max(1, height - 3)]
    ]
    if table:
        lines += ["", aligned([["run", "state", "", ""], *table])]
    return "\n".join(lines)


def _rows(board: Board) -> tuple[list[_Row], dict[str, Any]]:
    """A row for each run, and the last start of the study."""
    events = read_events(board.folder)
    start = next((e for e in reversed(events) if e["event"] == "study"), {"time": 0.0})
    last: dict[str, Mapping[str, Any]] = {}
    seconds: dict[str, float] = {}
    for event in events:
        if event["event"] == "finished":
            seconds[event["run"]] = event["seconds"]
        if event["event"] in ("began", "progress"):
            last[event["run"]] = event
    states = board.states()
    rows = []
    for job in board.jobs:
        state, event = states[job.name], last.get(job.name, {})
        part = float(state is State.DONE)
        note = ""
        if state is State.RUNNING:
            holder = board.holder(job)
            who = f"process {holder.process} on {holder.host}" if holder else ""
            if holder and event.get("process") != holder.process:
                # Its worker has taken it beforehand and reads its parameters.
                state, note = State.WAITING, f"next of {who}"
            else:
                part, counts = _part(job, event), ""
                if event.get("event") == "progress":
                    counts = f"{event['done']:,}/{event['total']:,} {event['unit']}, "
                note = counts + who
        elif state is State.FAILED:
            note = board.reason(job).splitlines()[0]
        elif state is State.DONE and job.name in seconds:
            note = f"{seconds[job.name]:.1f} s"
        elif state is State.WAITING:
            note = f"after {', '.join(job.after)}"
        elif (failure := board.failure(job)) is not None:
            note = f"again, after: {failure.error.splitlines()[0]}"
        rows.append(_Row(job=job, state=state, part=part, note=note))
    return rows, start


def _part(job: Job, event: Mapping[str, Any]) -> float:
    if event.get("event") != "progress" or not event["total"]:
        return 0.0
    part = event["done"] / event["total"]
    if not job.is_alone:
        return part
    if event["unit"] == "updates":
        return _TRAINING * part
    return _TRAINING + (1 - _TRAINING) * part


def _summary(rows: list[_Row], start: Mapping[str, Any]) -> str:
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(s)} {s}" for s in State if s in states)
    total = sum(row.job.work for row in rows if row.state is not State.FAILED)
    done = sum(row.job.work * row.part for row in rows)
    text = f"{len(rows)} runs: {counts}"
    if not start["time"]:
        return text
    share = done / total if total else 1.0
    gone = time.time() - start["time"]
    since = done - start.get("work_done", 0.0)
    text += f"; {share:.0%} of the work"
    if State.RUNNING in states and since > _ENOUGH * total:
        left = (total - done) / since * gone
        text += f", {_clock(gone)} gone, about {_clock(left)} left"
    return text


def work_done(board: Board) -> float:
    """Of the runs that are done, in the unit of their work."""
    return sum((job.work for job in board.jobs if board.is_done(job)), start=0.0)


def _bar(part: float) -> str:
    full = int(part * _BAR)
    return f"[{'#' * full}{'.' * (_BAR - full)}] {part:4.0%}"


def _clock(seconds: float) -> str:
    # Clocks of two machines differ, and are set.
    minutes, seconds = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


class Watch:
    """Shows the state again and again: a screen on a terminal, lines in a log."""

    def __init__(self, board: Board):
        self._board, self._last = board, 0.0
        self._on_terminal = sys.stderr.isatty()
        self._said = ""

    def look(self, *, at_once: bool = False) -> None:
        """Shows what has changed, now and then."""
        every = (
            _SECONDS_BETWEEN_SCREENS if self._on_terminal else _SECONDS_BETWEEN_LINES
        )
        if not at_once and time.monotonic() - self._last < every:
            return
        self._last = time.monotonic()
        if self._on_terminal:
            size = shutil.get_terminal_size()
            text = screen(self._board, size.lines)
            cut = "\n".join(line[: size.columns] for line in text.splitlines())
            print(f"\x1b[H\x1b[2J{cut}", file=sys.stderr, flush=True)
            return
        text = screen(self._board, height=1).splitlines()[0]
        if text != self._said:
            print(text, file=sys.stderr, flush=True)
            self._said = text
