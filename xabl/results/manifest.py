"""What a results directory says about the run that made it."""

import datetime
import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xabl.ablation.plan import Plan
from xabl.data.flickr30k_entities import split_file

FORMAT = 1
_PACKAGES = ("xabl", "jax", "jaxlib", "flax", "numpy", "orbax-checkpoint", "tokenizers")


def params_sha256(params: Mapping[str, Any]) -> str:
    """Digest of names, shapes and values, whatever file they come from."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = "/".join(str(key.key) for key in path)
        digest.update(f"{name} {leaf.shape} {leaf.dtype}".encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def file_sha256(path: Path | str) -> str:
    """Digest of one file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entities_sha256(directory: Path, split: str, image_ids: Sequence[str]) -> str:
    """Digest of the split file, and the captions and boxes of `image_ids`."""
    digest = hashlib.sha256(split_file(directory, split).read_bytes())
    for image_id in image_ids:
        digest.update((directory / "Sentences" / f"{image_id}.txt").read_bytes())
        digest.update((directory / "Annotations" / f"{image_id}.xml").read_bytes())
    return digest.hexdigest()


def excluded_counts(plan: Plan) -> dict[str, int]:
    """By reason, examples that are excluded under some condition."""
    counts = {
        reason: int((plan.excluded == number).any(axis=1).sum())
        for number, reason in enumerate(plan.reasons)
    }
    return {reason: count for reason, count in counts.items() if count}


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
