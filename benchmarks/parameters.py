"""Models to measure with: full-size, never trained."""

from pathlib import Path

import numpy as np

from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.reference_names import reference_names

# Wide enough that attention and predictions are as sharp as a trained model's: what
# rounding does to a loss depends on it.
_KERNEL, _BIAS = 0.05, 0.02


def save_model(directory: Path, config: ModelConfig, vocabulary: Path) -> None:
    """Writes a model directory with parameters drawn at random, the same every time."""
    tree: dict = {}
    rng = np.random.default_rng(0)
    for path, reference in reference_names(config).items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        values = rng.standard_normal(reference.shape, np.float32)
        if leaf == "scale":
            node[leaf] = 1 + _BIAS * values
        else:
            node[leaf] = values * (_BIAS if leaf == "bias" else _KERNEL)
    report = {"origin": "drawn at random"}
    model_directory.save(directory, config, tree, vocabulary=vocabulary, report=report)
