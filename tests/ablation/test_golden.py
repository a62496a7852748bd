"""Every ablation case the reference gave: losses, targets, predictions."""

import numpy as np
import pytest

from tests.helpers import ablation, golden
from xabl.ablation.conditions import Direction
from xabl.ablation.plan import NO_TARGET

TOLERANCE = 5e-6  # nats; 2e-6 is reached

# One of each kind of region embeddings and of sublayers; the others take the time.
QUICK = ("ctrl_vl-bert_base", "lxmert")
CASES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in golden.ABLATION_CASES
]


@pytest.mark.parametrize("name", CASES)
def test_losses(name):
    case = golden.ablation_case(name)
    params = ablation.params_of(case.state_dict(), case.config)
    scores, expected = ablation.scored(case.config, params), case.arrays()
    mlm = scores.loss("mlm")
    for column, condition in enumerate(scores.plan.conditions):
        key = f"{condition.direction}/{condition.name.replace('@', '')}"
        if condition.direction is Direction.VIS4LANG:
            # Phrases that were cut off are NaN in both.
            np.testing.assert_allclose(mlm[:, column], expected[key], atol=TOLERANCE)
            continue
        reasons = scores.plan.reasons
        no_target = scores.plan.excluded[:, column] == reasons.index(NO_TARGET)
        kept = scores.plan.excluded[:, column] == -1
        for metric in ("kl", "xe"):
            losses = scores.loss(f"mrc_{metric}")
            assert (losses is None) == (f"{key}/{metric}" not in expected)
            if losses is not None:
                np.testing.assert_allclose(
                    losses[kept, column],
                    expected[f"{key}/{metric}"][kept],
                    atol=TOLERANCE,
                )
        targets = scores.plan.targets.region[scores.plan.target]
        np.testing.assert_array_equal(
            targets[~no_target], expected[f"{key}/target_region"][~no_target]
        )
        pair = scores.plan.pair[kept, column]
        predicted = scores.pairs[Direction.LANG4VIS]["predicted"][pair]
        np.testing.assert_array_equal(
            predicted, expected[f"{key}/predicted_class"][kept]
        )
