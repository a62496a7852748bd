"""How much memory a binary needs."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers import binaries

# Runs a module like `python -m` and ends by printing its own peak memory in KiB.
# (Not getrusage, which counts what the parent had when it started this process.)
_MEASURED = """
import pathlib, re, runpy, sys
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    print("peak KiB:", re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


def peak_mib(module: str, **flags: object) -> int:
    """Runs a binary and tells the most memory it had."""
    _, _, *rest = binaries.command(module, **flags)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *rest],
        cwd=binaries.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.rsplit("peak KiB:")[1]) // 1024


def peak_mib_of_part(module: str, *, lines: int, cache: Path, **flags: object) -> int:
    """The most memory a binary had until it told `lines` times how far it is.

    Then it is interrupted.
    """
    process = subprocess.Popen(
        binaries.command(module, **flags),
        cwd=binaries.ROOT,
        env=binaries.environment(cache),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in process.stderr:
        said.append(line)
        if sum(line.lstrip()[:1].isdigit() for line in said) == lines:
            status = Path(f"/proc/{process.pid}/status").read_text()
            process.send_signal(signal.SIGINT)
            process.communicate()
            return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024
    raise AssertionError(f"ended with {process.wait()}: {''.join(said)}")
