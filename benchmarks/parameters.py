"""Models to measure with: full-size, never trained."""

from pathlib import Path

import numpy as np

from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.model import nest
from xabl.models.reference_names import reference_names

# Wide enough that attention and predictions are as sharp as a trained model's: what
# rounding does to a loss depends on it.
_KERNEL, _BIAS = 0.05, 0.02


def save_model(directory: Path, config: ModelConfig, vocabulary: Path) -> None:
    """Writes a model directory with parameters drawn at random, the same every time."""
    params, rng = {}, np.random.default_rng(0)
    for path, reference in reference_names(config).items():
        values = rng.standard_normal(reference.shape, np.float32)
        if path.endswith("/scale"):
            params[path] = 1 + _BIAS * values
        else:
            params[path] = values * (_BIAS if path.endswith("/bias") else _KERNEL)
    report, params = {"origin": "drawn at random"}, nest(params)
    model_directory.save(
        directory, config, params, vocabulary=vocabulary, report=report
    )
