"""Feeds damaged input to every reader, in processes that are watched.

    python -m tests.fuzz --seconds=300 [--target="lmdb file"] [--keep=FOLDER] [--seed=1]

Guided by coverage where Atheris is installed (`pip install atheris`), by chance
elsewhere. A reader may return or raise `UserError`; it must not raise anything else,
end its process, take longer than `SLOWEST`, or take more memory than `memory_limit`.
What breaks this is kept in a file, named, and makes the exit status 1.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz import watching

GRACE = 60.0  # seconds to start and to end
_SHARE = 4  # of the time for a slow reader, where others get 1
# Files of a moment need no disk.
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--target", action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    given = parser.parse_args()
    guided = watching.prepare()
    from tests.fuzz.targets import TARGETS

    names = given.target or list(TARGETS)
    shares = {name: _SHARE if TARGETS[name].is_slow else 1 for name in names}
    total, broken = 0, []
    for name in names:
        seconds = given.seconds * shares[name] / sum(shares.values())
        with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
            count, problem, covered = _fuzz(
                name, seconds, Path(folder), given.keep, guided, given.seed
            )
        total += count
        print(f"{name:20} {count:9,} inputs  {covered:26} {problem}", flush=True)
        broken += [name] if problem else []
    drawn = f"drawn with --seed={given.seed}"
    print(f"{total:,} inputs {drawn}, {len(broken)} of {len(names)} readers broken")
    sys.exit(1 if broken else 0)


def _fuzz(
    name: str, seconds: float, folder: Path, keep: Path, guided: bool, seed: int
) -> tuple[int, str, str]:
    """Inputs read, what was found wrong, what was covered.

    In a copy of this process, which has imported everything.
    """
    sys.stdout.flush()
    process = os.fork()
    if not process:
        _in_child(name, seconds, folder, guided, seed)
    deadline = time.monotonic() + seconds + GRACE
    ended = 0
    while not ended and time.monotonic() < deadline:
        time.sleep(0.1)
        ended, status = os.waitpid(process, os.WNOHANG)
    if not ended:
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    output = (folder / "output").read_text(errors="replace")
    progress = folder / "progress"
    count = int(progress.read_text()) if progress.exists() else 0
    covered = "by chance"
    seen = re.findall(r"#(\d+)\s.*cov: (\d+) ft: (\d+)", output)
    if seen:  # libFuzzer's own report: inputs, edges, edges by how often
        count, edges, features = max(count, int(seen[-1][0])), *seen[-1][1:]
        covered = f"{edges} edges, {features} ways"
    if ended and os.waitstatus_to_exitcode(status) == 0:
        return count, "", covered
    keep.mkdir(parents=True, exist_ok=True)
    kept = keep / f"{name.replace(' ', '-')}-{int(time.time())}"
    current = folder / "input"
    kept.write_bytes(current.read_bytes() if current.exists() else b"")
    errors = re.findall(
        r"^(?:[\w.]*Error|Assert\w+|Exception|[\w.]+Exception).*", output, re.M
    )
    why = errors[-1][:200] if errors else "no end" if not ended else f"status {status}"
    return count, f"{why}: {kept}", covered


def _in_child(name: str, seconds: float, folder: Path, guided: bool, seed: int) -> None:
    """Never returns."""
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1), os.dup2(output, 2)
    status = 0
    try:
        watching.fuzz(name, seconds, folder, guided, seed)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
