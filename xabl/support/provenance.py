"""Which code and which libraries made a file, and when."""

import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path

_PACKAGES = ("xabl", "jax", "jaxlib", "flax", "numpy", "orbax-checkpoint", "tokenizers")


def versions() -> dict[str, str]:
    """Of Python and the libraries that numbers may depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"  # run from a checkout
    return found


def git_commit() -> str | None:
    """The commit of this code; None when it is not run from a checkout.

    A trailing "+" says that files were changed since.
    """
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # Not the repository of someone who keeps an environment in theirs.
        if not git("ls-files", Path(__file__).name):
            return None
        return git("rev-parse", "HEAD") + (
            "+" if git("status", "--porcelain", "-uno") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def now() -> str:
    """UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
