"""How much memory a binary needs."""

import subprocess
import sys

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
