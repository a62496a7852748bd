"""Ablation scores of a model during training.

They show when the model begins to use a modality: then the loss with all regions (or
all words) ablated rises above the loss without ablation.
"""

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from xabl.ablation.engine.device_loop import Evaluation, score
from xabl.ablation.inputs import read_inputs
from xabl.ablation.options import InputFiles
from xabl.models.model import nest
from xabl.pretraining.configuration import PretrainingConfig
from xabl.results.conditions import MAIN_THRESHOLD
from xabl.results.losses import columns_of
from xabl.support.devices import LocalDevices


class AblationWatch:
    """Scores a few phrases under all conditions, with the main overlap threshold alone.

    The scores are those of `xabl ablate` with `--limit`, in float32. The curve over all
    thresholds is for the finished model.
    """

    def __init__(self, config: PretrainingConfig):
        """Reads the files that `config.ablation` names.

        Raises:
            UserError: a file is missing, damaged, or not for this model.
        """
        wanted = config.ablation
        self._inputs = read_inputs(
            InputFiles(
                entities=Path(wanted.entities),
                split=wanted.split,
                regions=None if config.model.text_only else Path(wanted.regions),
                vocabulary=Path(config.vocabulary),
                thresholds=(MAIN_THRESHOLD,),
                limit=wanted.examples,
            ),
            config=config.model,
        )
        self._evaluation: Evaluation | None = None

    def score(self, parameters: Mapping[str, jax.Array]) -> dict[str, float]:
        """Means over the phrases in bits, by "loss/condition", e.g. "mlm/all".

        Args:
            parameters: by path, a whole copy on every device.

        Raises:
            UserError: a loss is not finite.
        """
        params = nest({k: np.asarray(v) for k, v in parameters.items()})
        inputs = self._inputs
        if self._evaluation is None:
            self._evaluation = Evaluation(inputs.request(params), LocalDevices())
            # Compiled anew each time, they would add up: JAX keeps them all.
            self._evaluation.keep_programs()
        else:
            self._evaluation.take(params, inputs.store)
        scores = score(self._evaluation)
        means = {
            f"{loss}/{condition.name}": scores.mean_bits(loss, condition)
            for condition in inputs.plan.conditions
            for loss in columns_of(condition.direction)
        }
        return {name: bits for name, bits in means.items() if bits is not None}
