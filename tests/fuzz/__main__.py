"""Feeds damaged input to every reader, in processes that are watched.

    python -m tests.fuzz --seconds=300 [--target="lmdb file"] [--keep=FOLDER]

Guided by coverage where Atheris is installed (`pip install atheris`), by chance
elsewhere. A reader may return or raise `UserError`; it must not raise anything else,
end its process, take longer than `SLOWEST`, or take more memory than `memory_limit`.
What breaks this is kept in a file, named, and makes the exit status 1.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import child
from tests.helpers.binaries import ROOT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--target", action="append")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    given = parser.parse_args()
    from tests.fuzz.targets import TARGETS

    names = given.target or list(TARGETS)
    total, broken = 0, []
    for name in names:
        count, problem, covered = _fuzz(name, given.seconds / len(names), given.keep)
        total += count
        print(f"{name:20} {count:9,} inputs  {covered:26} {problem or ''}", flush=True)
        broken += [name] if problem else []
    print(f"{total:,} inputs, {len(broken)} of {len(names)} readers broken")
    sys.exit(1 if broken else 0)


def _fuzz(name: str, seconds: float, keep: Path) -> tuple[int, str, str]:
    """Inputs read, what was found wrong, what was covered."""
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder) / "input"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.child", name, str(seconds), folder],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + seconds + child.GRACE
        try:
            output, _ = process.communicate(timeout=deadline - time.monotonic())
            problem = "" if process.returncode == 0 else f"exit {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            problem = "did not come to an end"
        progress = Path(folder) / "progress"
        count = int(progress.read_text()) if progress.exists() else 0
        seen = re.findall(r"#(\d+)\s.*cov: (\d+) ft: (\d+)", output)
        covered = "by chance"
        if seen:  # libFuzzer's own report: inputs, edges, edges by how often
            count, edges, features = max(count, int(seen[-1][0])), *seen[-1][1:]
            covered = f"{edges} edges, {features} ways"
        if problem:
            keep.mkdir(parents=True, exist_ok=True)
            kept = keep / f"{name.replace(' ', '-')}-{int(time.time())}"
            kept.write_bytes(current.read_bytes() if current.exists() else b"")
            last = [line for line in output.splitlines() if line.strip()][-1:]
            problem = f"{problem}: {kept}: {' '.join(last)[:300]}"
        return count, problem, covered


if __name__ == "__main__":
    main()
