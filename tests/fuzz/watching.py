"""Reads one input after the other, and sees that what is promised is kept."""

import os
import random
import re
import resource
import signal
import sys
import time
from pathlib import Path

from tests.fuzz import json_changes

SLOWEST = 20  # seconds for one input, on a busy machine
MOST_BYTES = 2**18  # of an input
_REPORT_EVERY = 1000  # inputs


def memory_limit(size: int) -> int:
    """Bytes that reading a file of `size` bytes may take at most."""
    return 96 * 2**20 + 16 * size


class Watched:
    """Reads inputs and raises when one breaks what is promised."""

    def __init__(self, name: str, folder: Path):
        from tests.fuzz.targets import TARGETS
        from xabl.errors import UserError

        self._target, self._error = TARGETS[name], UserError
        self.folder, self.count = folder, 0
        self._work = folder / "work"
        self._work.mkdir(exist_ok=True)
        self._started = time.monotonic()
        self._peak = 0

    def read(self, content: bytes) -> None:
        """Reads one input; any error but our own comes out, as do other breaches."""
        (self.folder / "input").write_bytes(content)
        signal.setitimer(signal.ITIMER_REAL, SLOWEST)
        before = max(self._peak, _resident())
        try:
            self._target.read(self._work, content)
        except self._error as error:
            assert str(error).strip(), "an empty message"
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        taken = self._peak - before
        assert self.count < 20 or taken < memory_limit(len(content)), (
            f"{taken >> 20} MiB for {len(content)} bytes"
        )
        self.count += 1
        if self.count % _REPORT_EVERY == 0:
            self.report()

    def report(self) -> None:
        """Says how far it is, to whoever watches."""
        (self.folder / "progress").write_text(str(self.count))


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def mutated(drawn: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """An input with a few changes of the kinds that break readers.

    Half of the time, of JSON, another value in place of one.
    """
    if drawn.random() < 0.5 and (other := json_changes.changed(drawn, content)):
        return other[:MOST_BYTES]
    data = bytearray(content)
    for _ in range(drawn.choice([1, 1, 1, 2, 4, 16])):
        at = drawn.randrange(len(data) + 1)
        size = drawn.choice([1, 1, 2, 4, 8, 32, 200])
        match drawn.randrange(9):
            case 0 if data:
                data[at % len(data)] ^= 1 << drawn.randrange(8)
            case 1 if data:
                data[at % len(data)] = drawn.randrange(256)
            case 2:
                number = drawn.choice(
                    [0, 1, -1, 2**31 - 1, 2**63 - 1, drawn.randrange(2**16)]
                )
                wide = drawn.choice([1, 2, 4, 8])
                data[at : at + wide] = (number % 2 ** (8 * wide)).to_bytes(
                    wide, "little"
                )
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = data[at : at + size]
            case 5:
                data[at:at] = drawn.randbytes(size)
            case 6:
                other = drawn.choice(others)
                start = drawn.randrange(len(other) + 1)
                data[at : at + size] = other[start : start + size]
            case 7:
                del data[at:]
            case 8 if numbers := list(re.finditer(rb"\d+", data)):
                found = drawn.choice(numbers)
                other = drawn.choice(json_changes.NUMBERS).encode()
                data[found.start() : found.end()] = other
    return bytes(data[:MOST_BYTES])


def by_chance(watched: Watched, seeds: list[bytes], seconds: float, seed: int) -> None:
    """Mutates the seeds for so many seconds."""
    drawn = random.Random(seed)
    end = time.monotonic() + seconds
    for content in seeds:
        watched.read(content)
    while time.monotonic() < end:
        watched.read(mutated(drawn, drawn.choice(seeds), seeds))


def by_coverage(
    watched: Watched, seeds: list[bytes], seconds: float, seed: int
) -> None:
    """Lets libFuzzer find what reaches new code; it ends the process itself."""
    import atheris

    corpus = watched.folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(seeds):
        (corpus / f"{number}").write_bytes(content)
    arguments = [
        sys.argv[0],
        f"-seed={seed % 2**31}",
        f"-max_total_time={int(seconds) + 1}",
        f"-max_len={MOST_BYTES}",
        f"-timeout={SLOWEST}",
        "-rss_limit_mb=4096",
        f"-artifact_prefix={watched.folder}/",
        str(corpus),
    ]

    def change(content: bytes, most: int, seed: int) -> bytes:
        other = None
        if seed % 4 == 0:
            other = json_changes.changed(random.Random(seed), content)
        return (other or atheris.Mutate(content, most))[:most]

    atheris.Setup(arguments, watched.read, custom_mutator=change)
    atheris.Fuzz()


def prepare() -> bool:
    """Imports the readers, counted by Atheris; returns whether it is installed."""
    try:
        import atheris
    except ImportError:
        return False
    with atheris.instrument_imports(include=["xabl", "checkpoints_conversion"]):
        from tests.fuzz import targets  # noqa: F401
    return True


def fuzz(name: str, seconds: float, folder: Path, guided: bool, seed: int) -> None:
    """Gives damaged inputs to a reader for so many seconds, drawn from a seed."""
    from tests.fuzz.targets import TARGETS
    from xabl.data.regions import scout

    scout._SECONDS = SLOWEST / 2  # a file it gives up is an answer in time
    watched = Watched(name, folder)
    saved = Path(__file__).parents[1] / "data" / "fuzz" / name.replace(" ", "-")
    seeds = TARGETS[name].seeds()
    seeds += [path.read_bytes() for path in sorted(saved.glob("*"))]
    (by_coverage if guided else by_chance)(watched, seeds, seconds, seed)
    watched.report()
