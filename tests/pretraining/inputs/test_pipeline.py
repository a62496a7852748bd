"""Order, sharing and resumption of batches."""

import dataclasses
import itertools
import json
import pickle

import jax
import numpy as np
import pytest

from tests.helpers import tiny_corpus
from xabl.errors import UserError
from xabl.models.presets import PRESETS
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.inputs.example_maker import ExampleMaker
from xabl.pretraining.inputs.pipeline import Share, TrainingBatches, validation_batches

NUMBER = 15  # images, so 30 examples
BATCH = 4  # 7 whole batches and 2 examples left over
STEPS = 7


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    model = dataclasses.replace(PRESETS["ctrl_uniter_base"], v_feature_size=8)
    return ExampleMaker(
        tiny_corpus.corpus(folder, NUMBER),
        tiny_corpus.write_vocabulary(folder),
        model,
        InputConfig(max_words=8, word_rate=0.4, region_rate=0.4),
    )


def training(examples, *, seed=0, num_workers=0, **share):
    return TrainingBatches(
        examples, Share(batch_size=BATCH, **share), seed, num_workers
    )


def take(batches, number):
    return list(itertools.islice(batches, number))


def taken(examples, number, **settings):
    with training(examples, **settings) as batches:
        return take(batches, number)


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(np.testing.assert_array_equal, left, right)


def indices(batches):
    return np.concatenate([batch.example_index for batch in batches])


def test_an_epoch_visits_no_example_twice(examples):
    batches = taken(examples, 3 * STEPS)
    epochs = indices(batches).reshape(3, STEPS * BATCH)
    for epoch in epochs:
        assert len(set(epoch)) == STEPS * BATCH
        assert set(epoch) < set(range(2 * NUMBER))
    assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()
    with training(examples) as one:
        assert one.steps_per_epoch == STEPS


def test_masks_differ_between_epochs_and_seeds(examples):
    first = examples.batch(0, 0, np.arange(30))
    for seed, epoch in ((0, 1), (1, 0)):
        other = examples.batch(seed, epoch, np.arange(30))
        assert (other.mlm_targets != first.mlm_targets).any()
        assert (other.region_features != first.region_features).any()
    assert_same(examples.batch(0, 0, np.arange(30)), first)


def test_masks_do_not_depend_on_the_batch(examples):
    together = examples.batch(0, 0, np.arange(30))
    alone = [examples.batch(0, 0, np.array([example])) for example in range(30)]
    assert_same(jax.tree.map(lambda *rows: np.concatenate(rows), *alone), together)


def test_seeds_give_other_orders(examples):
    assert_same(taken(examples, 9), taken(examples, 9))
    assert (indices(taken(examples, 9)) != indices(taken(examples, 9, seed=1))).any()


@pytest.mark.parametrize("before", [0, 1, 3, STEPS, STEPS + 2])
def test_resumption_repeats_and_skips_nothing(examples, before):
    """The state goes through JSON, as in a checkpoint, to a pipeline made anew."""
    whole = taken(examples, 2 * STEPS)
    with training(examples) as first:
        begun = take(first, before)
        state = json.loads(json.dumps(first.get_state()))
        take(first, 2)  # given after the checkpoint, and lost with the process
    with training(examples) as second:
        second.set_state(state)
        assert second.get_state() == state
        assert_same(begun + take(second, 2 * STEPS - before), whole)
        second.set_state(state)  # and back again, in the same process
        assert_same(take(second, 3), whole[before : before + 3])


def test_worker_processes_change_nothing(examples):
    alone = taken(examples, 9)
    with training(examples, num_workers=2) as batches:
        assert_same(take(batches, 4), alone[:4])
        state = batches.get_state()
        assert_same(take(batches, 1), alone[4:5])
    with training(examples) as fewer_workers:
        fewer_workers.set_state(state)
        assert_same(take(fewer_workers, 5), alone[4:])


@pytest.mark.parametrize("num_hosts", [2, 4])
def test_hosts_share_every_batch(examples, num_hosts):
    alone = taken(examples, STEPS + 1)
    shared = [
        taken(examples, STEPS + 1, host=host, num_hosts=num_hosts)
        for host in range(num_hosts)
    ]
    for batch, *parts in zip(alone, *shared, strict=True):
        joined = jax.tree.map(lambda *rows: np.concatenate(rows), *parts)
        assert_same(joined, batch)


def test_the_position_is_the_same_on_every_host(examples):
    states = []
    for host in range(2):
        with training(examples, host=host, num_hosts=2) as batches:
            take(batches, 3)
            states.append(batches.get_state())
    assert states[0] == states[1]


def test_the_position_of_another_run_is_refused(examples):
    with training(examples) as batches:
        state = batches.get_state()
    with training(examples, seed=1) as other:
        with pytest.raises(UserError, match="seed was 0, is 1"):
            other.set_state(state)
    with training(examples) as batches:
        with pytest.raises(UserError, match="examples was 2000000, is 30"):
            batches.set_state(state | {"examples": 2_000_000})


def test_batches_that_cannot_be(examples):
    with pytest.raises(UserError, match="30 examples, fewer than a batch of 31"):
        TrainingBatches(examples, Share(batch_size=31), 0)
    with pytest.raises(UserError, match="batch of 5 cannot be shared by 2 hosts"):
        Share(batch_size=5, num_hosts=2)


def test_validation_visits_every_example_once(examples):
    batches = list(validation_batches(examples, Share(batch_size=8), seed=0))
    np.testing.assert_array_equal(
        indices(batches), [*range(30), -1, -1]
    )  # 30 examples in 4 batches of 8
    last = batches[-1]
    filling = last.example_index == -1
    assert (last.target_rows[filling] == -1).all()
    for targets in (last.mlm_targets, last.target_rows, last.itm_labels):
        assert (targets[filling] == -1).all()
        assert (targets[~filling] >= 0).any()
    assert_same(
        list(validation_batches(examples, Share(batch_size=8), seed=0)), batches
    )


def test_validation_masks_are_not_those_of_training(examples):
    validation = next(validation_batches(examples, Share(batch_size=30), seed=0))
    training_masks = examples.batch(0, 0, np.arange(30)).mlm_targets
    assert (validation.mlm_targets != training_masks).any()


def test_the_cache_changes_nothing(examples):
    corpus = examples.corpus
    uncached = Corpus(corpus.directory, corpus.split, cache_bytes=0)
    small = Corpus(corpus.directory, corpus.split, cache_bytes=100_000)
    for other in (uncached, small, pickle.loads(pickle.dumps(corpus))):
        for record in [*range(NUMBER), *range(NUMBER)]:
            assert_same(vars(other.image(record)), vars(corpus.image(record)))


def test_a_damaged_record_stops_training_with_its_name(examples, tmp_path):
    corpus = examples.corpus
    copy = tmp_path / corpus.split
    copy.mkdir()
    for file in (corpus.directory / corpus.split).iterdir():
        data = bytearray(file.read_bytes())
        if "array_record" in file.name:
            middle = len(data) // 2
            data[middle : middle + 4000] = bytes(4000)
        (copy / file.name).write_bytes(data)
    damaged = Corpus(tmp_path, corpus.split)
    maker = ExampleMaker(
        damaged,
        tiny_corpus.write_vocabulary(tmp_path),
        dataclasses.replace(PRESETS["ctrl_uniter_base"], v_feature_size=8),
        InputConfig(),
    )
    with pytest.raises(UserError, match="image number .* cannot be read"):
        taken(maker, STEPS)
