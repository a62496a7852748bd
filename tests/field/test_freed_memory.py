"""Freed memory, in processes of their own: the allocator is told for good."""

import platform
import subprocess
import sys

import pytest

_SCRIPT = """
import resource
import numpy as np
from xabl.support import freed_memory
getattr(freed_memory, {told!r})()
np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.ones(2**23)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
_HAS_GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


@pytest.mark.skipif(not _HAS_GLIBC, reason="glibc alone can be told")
@pytest.mark.parametrize(
    ("told", "fewest", "most"), [("return_freed", 96, 10**9), ("keep_freed", 0, 32)]
)
def test_pages_of_freed_memory(told, fewest, most):
    """Pages that the system gave for three arrays; with large pages 96 at least."""
    command = [sys.executable, "-c", _SCRIPT.format(told=told)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert fewest <= int(run.stdout) <= most
