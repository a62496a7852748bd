"""The sample that is scored before all: the same questions to every kind of model."""

import jax
import numpy as np
import pytest

from tests.helpers import ablation
from xabl.ablation.any_model import flax_model
from xabl.ablation.definition import Definition
from xabl.ablation.engine.device_loop import Evaluation, Request
from xabl.ablation.engine.device_regions import host_store
from xabl.ablation.mismatch.sample import asked, scored
from xabl.ablation.own.region_reader import RegionReader
from xabl.results.conditions import Direction
from xabl.support.devices import LocalDevices

TOLERANCE = 5e-6  # nats


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Six images are enough, and compiling is quick."""
    monkeypatch.setattr("xabl.ablation.mismatch.sample.LEAST_IMAGES", 2)
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.slow
def test_a_functions_sample_is_ours():
    """One of our models as both: intact, and with what belongs to another image."""
    config = ablation.shallow("uniter")
    params, world = ablation.ruled_params(config), ablation.regions()
    plan = ablation.planned(config, ablation.FEW_CONDITIONS)
    store = host_store(config, world, ablation.average())
    request = Request(config=config, params=params, plan=plan, store=store)
    (ours,) = scored(Evaluation(request, LocalDevices(1)), [plan])
    reader = RegionReader(
        definition=Definition(
            model=flax_model(config, params),
            regions=world,
            average=ablation.average(),
            mask_id=ablation.word_pieces().mask_id,
            target=config.scored_target(),
        ),
        pieces=config.vocab_size,
        widest=plan.mlm.positions.shape[1],
        top=0,
    )
    theirs = asked(plan, reader.losses, 16, sees_regions=True)
    assert set(ours) == set(theirs) == set(Direction)
    for direction in Direction:
        mine, other = theirs[direction], ours[direction]
        assert mine.loss == other.loss
        np.testing.assert_array_equal(mine.images, other.images)
        for name in ("own", "other"):
            np.testing.assert_allclose(
                getattr(mine, name), getattr(other, name), atol=TOLERANCE, rtol=0
            )
        assert np.abs(mine.own - mine.other).max() > 100 * TOLERANCE
    trial = ours[Direction.LANG4VIS]
    assert np.abs(trial.seen - trial.own).max() > 100 * TOLERANCE
