"""Full-size models: what rounding does to their losses, and nothing else does.

A loss of a full-size model of float32 differs from the definition's by more than the
5e-6 nats that hold for small ones. In float64 they agree.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.parameters import save_model
from benchmarks.world import make_world
from xabl.ablation import any_model
from xabl.ablation.definition import Definition
from xabl.ablation.engine import projection
from xabl.ablation.engine import scorer as scoring
from xabl.ablation.engine.device_loop import Request, ablate
from xabl.ablation.inputs import read_inputs
from xabl.ablation.options import InputFiles
from xabl.data.regions import open_regions
from xabl.models import model_directory
from xabl.models.model import VisionLanguageBert
from xabl.models.presets import PRESETS
from xabl.support.devices import LocalDevices

EXAMPLES = 16  # one batch of the definition's


def losses(inputs, params, regions):
    """The engine's and the definition's, by loss: [examples, conditions]."""
    plan, names = inputs.plan, ("mlm", "mrc_kl", "mrc_xe")
    request = Request(
        config=inputs.config, params=params, plan=plan, store=inputs.store
    )
    scores = ablate(request, LocalDevices(1))
    ours = {name: scores.loss(name) for name in names}
    definition = Definition(
        model=any_model.flax_model(inputs.config, params),
        regions=regions,
        average=inputs.store.average,
        mask_id=inputs.word_pieces.mask_id,
        target=inputs.config.scored_target(),
    )
    theirs = {name: np.full_like(ours[name], np.nan) for name in names}
    for column, condition in enumerate(plan.conditions):
        for name, found in definition.losses(plan.examples, condition).items():
            if name in names:
                theirs[name][:, column] = found
    return ours, theirs


def largest(some, others):
    return max(np.nanmax(np.abs(some[name] - others[name])) for name in some)


@pytest.fixture
def float64(monkeypatch):
    """Turns on models of float64 when it is called."""

    def turn_on():
        jax.config.update("jax_enable_x64", True)
        wide = functools.partial(VisionLanguageBert, dtype=jnp.float64)
        for module in (any_model, scoring, projection):
            monkeypatch.setattr(module, "VisionLanguageBert", wide)

    yield turn_on
    jax.config.update("jax_enable_x64", False)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["ctrl_vl-bert_base", "ctrl_vilbert_base"])
def test_only_rounding_sets_the_engine_apart(preset, float64, tmp_path):
    config = PRESETS[preset]
    world = make_world(tmp_path / "world", num_images=2)
    save_model(tmp_path / "model", config, world.vocabulary)
    inputs = read_inputs(
        InputFiles(
            model=tmp_path / "model",
            entities=world.entities,
            regions=world.regions,
            thresholds=(0.5,),
            limit=EXAMPLES,
        )
    )
    _, params = model_directory.load(tmp_path / "model")
    with open_regions(world.regions) as source:
        regions = source.read_all(source.image_ids)
    ours, theirs = losses(inputs, params, regions)
    float64()
    exact, exact_theirs = losses(inputs, params, regions)
    print(
        f"{preset}, losses up to {max(map(np.nanmax, exact.values())):.1f} nats; "
        f"in float64 apart {largest(exact, exact_theirs):.1e}; in float32 apart "
        f"{largest(ours, theirs):.1e}, from float64: ours {largest(ours, exact):.1e}, "
        f"the definition {largest(theirs, exact):.1e}"
    )
    # Scores are kept in float32, of which a step here is 9.5e-7.
    assert largest(exact, exact_theirs) < 1e-6
    # Seen: 4e-6 to 1e-5, of either.
    assert largest(ours, exact) < 1.5e-5 and largest(theirs, exact) < 1.5e-5
