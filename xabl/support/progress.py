"""How far a long job is: a bar with the time left on a terminal, lines elsewhere."""

import sys
import threading
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0
# With nothing done for so long, a line says what is being waited for.
SECONDS_OF_SILENCE = 5.0


class Progress:
    """Shows on standard error how many of `total` are done; a context manager.

    A log file gets a line every `SECONDS_BETWEEN_LINES` and a last one, in the format
    of the bar. While none is done, a line says what is being waited for.
    """

    def __init__(self, total: int, unit: str, *, first: str):
        """Shows nothing done yet.

        Args:
            total: how many there are to do.
            unit: what they are, e.g. "images".
            first: what goes on until the first is done, e.g. "reading the first one".
        """
        self._total = total
        self._unit = unit
        self._first = first
        self._done = 0
        self._moves = threading.Event()
        self._waiting = threading.Thread(target=self._say_what_goes_on, daemon=True)
        self._start = self._last_line = time.monotonic()
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, unit=f" {unit}") if on_terminal else None

    def update(self, count: int = 1) -> None:
        """That many more are done."""
        self._done += count
        if self._done:
            self._moves.set()
        if self._bar is not None:
            self._bar.update(count)
        elif self._done and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._print_line()

    def __enter__(self) -> "Progress":
        if self._total:
            self._waiting.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._moves.set()
        if self._bar is not None:
            self._bar.close()
        elif self._done:
            self._print_line()

    def _say_what_goes_on(self) -> None:
        silence = SECONDS_OF_SILENCE
        while not self._moves.wait(silence):
            elapsed = time.monotonic() - self._start
            line = f"{elapsed:.0f} s, none of {self._total} {self._unit} yet: "
            tqdm.write(line + self._first, file=sys.stderr)
            silence = SECONDS_BETWEEN_LINES

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        elapsed = self._last_line - self._start
        line = tqdm.format_meter(
            self._done, self._total, elapsed, unit=f" {self._unit}", bar_format=_LINE
        )
        print(line, file=sys.stderr, flush=True)


_LINE = "{percentage:3.0f}% {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}]"
