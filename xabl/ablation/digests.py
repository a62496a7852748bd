"""Digests of what scores depend on: parameters, files, captions and boxes."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xabl.data.flickr30k_entities import split_file
from xabl.support.files import read_bytes


def params_sha256(params: Mapping[str, Any]) -> str:
    """Digest of names, shapes and values, whatever file they come from."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = "/".join(str(key.key) for key in path)
        digest.update(f"{name} {leaf.shape} {leaf.dtype}".encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def entities_sha256(directory: Path, split: str, image_ids: Sequence[str]) -> str:
    """Digest of the split file, and the captions and boxes of `image_ids`."""
    digest = hashlib.sha256(read_bytes(split_file(directory, split)))
    for image_id in image_ids:
        digest.update(read_bytes(directory / "Sentences" / f"{image_id}.txt"))
        digest.update(read_bytes(directory / "Annotations" / f"{image_id}.xml"))
    return digest.hexdigest()
