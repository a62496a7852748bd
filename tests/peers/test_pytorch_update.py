"""The update that ours is compared with for speed computes what ours does."""

import json
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.pytorch_uniter import Adam, Uniter, batch_of
from tests.helpers import binaries, tiny_training
from xabl.models import heads
from xabl.pretraining.optimiser import (
    OptimiserConfig,
    is_decayed,
    optimiser,
    warmup_linear,
)
from xabl.pretraining.train_step import TrainState, train_step
from xabl.support.devices import Devices

CONFIG = tiny_training.without_dropout(tiny_training.model())
RATE = warmup_linear(1e-3, warmup_steps=1, total_steps=100)
UPDATES = 4


def test_losses_and_parameters_are_the_same(monkeypatch):
    monkeypatch.setattr(heads, "ITM_DROPOUT", 0.0)
    devices, recipe, decayed = (
        Devices.all(1),
        OptimiserConfig(weight_decay=0.5, clip_norm=0.5),
        is_decayed(CONFIG),
    )
    start = tiny_training.parameters(CONFIG)
    values = jax.device_get(start)
    rule = optimiser(recipe, RATE, decayed)
    update = train_step(tiny_training.objective(CONFIG), rule, RATE, devices)
    state = TrainState(
        step=jnp.int32(0),
        key=jax.random.key_data(jax.random.key(0)),
        trained=start,
        fixed={},
        optimiser=rule.init(start),
    )
    # No two arrays may share memory: it is donated.
    state = devices.replicate(jax.tree.map(np.asarray, state))
    theirs = Uniter(CONFIG, values)
    theirs.training = False
    rates = RATE(jnp.arange(UPDATES)).tolist()
    adam = Adam(recipe, theirs.parameters, decayed)
    for number in range(UPDATES):
        batch = tiny_training.batch(CONFIG, 8, seed=number)
        state, metrics = update(state, devices.spread(batch, 1))
        loss = theirs.loss(batch_of(batch))
        loss.backward()
        adam.update(rates[number])
        assert loss.item() == pytest.approx(float(metrics.loss), abs=1e-5)
    moved = 0.0
    for path, ours in jax.device_get(state.trained).items():
        other = theirs.parameters[path].detach().numpy()
        other = other.T if path.endswith("kernel") else other
        # A tenth of a step: where a gradient is rounding error, so is its sign.
        np.testing.assert_allclose(ours, other, atol=1e-4, err_msg=path)
        moved = max(moved, np.abs(ours - values[path]).max())
    assert moved > 1e-3


def test_the_benchmark_at_small_size(tmp_path):
    words = binaries.command(
        "benchmarks.pytorch_update", layers=1, batch_size=2, updates=1, output=tmp_path
    )
    # Not forked as other binaries are: it spawns a process that imports it again.
    subprocess.run(words, cwd=binaries.ROOT, check=True)
    (path,) = tmp_path.glob("*.json")
    result = json.loads(path.read_text())
    for ours, theirs, ratio in (
        ("our_seconds", "pytorch_seconds", "ratio"),
        ("our_core_seconds", "pytorch_core_seconds", "ratio_by_core_seconds"),
    ):
        assert result[theirs] / result[ours] == pytest.approx(result[ratio])
    assert 0 < result["share_of_matrix_product_rate"] < 1.5
    assert 0 <= result["processor_share_of_others"] < 1
