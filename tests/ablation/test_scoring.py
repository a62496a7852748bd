"""Scores do not depend on how they are computed, only on what is asked."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from checkpoints_conversion.templates import VISUALBERT
from tests.helpers import ablation
from xabl.ablation.any_model import flax_model
from xabl.ablation.engine import device_loop as evaluate
from xabl.ablation.engine.device_loop import Evaluation, Request
from xabl.ablation.engine.device_regions import host_store
from xabl.ablation.engine.explain import explain, score_cost, table_cost
from xabl.ablation.engine.memory import pair_bytes
from xabl.ablation.engine.padding import ProgramLimits
from xabl.ablation.engine.pair_scores import AblationScores, scored_pairs
from xabl.ablation.engine.programs import Programs
from xabl.ablation.engine.schedule import Schedule, Shape, TableSizes
from xabl.ablation.options import ImageToken, Precision, VlBertPositions
from xabl.ablation.tables import own_words_table, words_table
from xabl.ablation.word_classes import by_lists
from xabl.errors import UserError
from xabl.models.config import GlobalImage
from xabl.models.model import parameter_shapes
from xabl.models.presets import PRESETS, one_stream_layers
from xabl.results.conditions import Direction, all_conditions
from xabl.results.losses import LOSSES
from xabl.support.devices import LocalDevices

TOLERANCE = 5e-6  # nats
# Compiling takes the time, so the fast tests ask the kinds that compile quickly; the
# slow ones ask them all, and every preset.
QUICK_FIRST = (
    "two-stream",
    "bert",
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("uniter", "vl-bert")),
)
LOSS_NAMES = tuple(LOSSES)
LOSS_NAMES = tuple(name for name in LOSS_NAMES if name != "mrc_xe_vg")


pytestmark = pytest.mark.usefixtures("quick_unless_slow")


@pytest.fixture
def optimised(quick_unless_slow):
    """What the compiler counts is what a user's program does."""
    jax.config.update("jax_disable_most_optimizations", False)


def conditions_of(config, conditions=ablation.FEW_CONDITIONS):
    return conditions[:1] if config.text_only else conditions


@functools.cache
def scored(kind, **more):
    config = ablation.shallow(kind)
    return ablation.scored(
        config,
        ablation.ruled_params(config),
        conditions=conditions_of(config),
        **more,
    )


def assert_same(scores, reference, rows=slice(None)):
    for name in LOSS_NAMES:
        expected = reference.loss(name)
        if expected is not None:
            np.testing.assert_allclose(
                scores.loss(name), expected[rows], atol=TOLERANCE, rtol=0
            )


def definition_of(config, params):
    return ablation.definition_of(config, flax_model(config, params))


def defined_losses(config, params, conditions):
    """By loss, [examples, conditions]: every input on its own, written out."""
    definition, found = definition_of(config, params), {}
    for column, condition in enumerate(conditions):
        for name, losses in definition.losses(ablation.examples(), condition).items():
            shape = (len(losses), len(conditions))
            found.setdefault(name, np.full(shape, np.nan))[:, column] = losses
    return found


def assert_as_defined(config, conditions):
    params = ablation.ruled_params(config)
    scores = ablation.scored(config, params, conditions=conditions)
    expected = defined_losses(config, params, conditions)
    assert ("mrc_kl" in expected) == (scores.loss("mrc_kl") is not None)
    for name in expected:
        # NaN, where nothing can be asked, at the same places.
        np.testing.assert_allclose(
            scores.loss(name), expected[name], atol=TOLERANCE, rtol=0
        )
    assert_words(scores, definition_of(config, params))


def test_pairs_kept_without_the_losses_of_their_pieces_are_scored_again():
    """As versions before kept them."""
    scores, direction = scored("bert"), Direction.VIS4LANG
    pairs = dict(scores.pairs[direction])
    assert scored_pairs(scores.plan, pairs, direction).all()
    del pairs["piece_loss"]
    assert not scored_pairs(scores.plan, pairs, direction).any()


def test_no_words_where_every_example_is_excluded():
    """As all of them are when no caption is read as far as its phrase."""
    plan = scored("bert").plan
    nothing = AblationScores(plan=plan, pairs={Direction.VIS4LANG: {}})
    classes = by_lists(plan.examples)
    assert len(words_table(nothing, ablation.word_pieces(), classes)) == 0
    assert len(own_words_table(nothing, classes)) == 0


def assert_words(scores, definition):
    """words.parquet: its means are mlm, and its pieces those of the definition."""
    plan = scores.plan
    classes = by_lists(plan.examples)
    words = words_table(scores, ablation.word_pieces(), classes).to_pandas()
    mlm = scores.loss("mlm")
    for column in plan.columns(Direction.VIS4LANG):
        condition = plan.conditions[column]
        found = words[words["condition"] == condition.name]
        means = found.groupby("example")["loss"].mean()
        scored = ~np.isnan(mlm[:, column])
        numbers = np.array([example.number for example in plan.examples])[scored]
        np.testing.assert_array_equal(means.index, numbers)
        np.testing.assert_allclose(means, mlm[scored, column], atol=1e-6, rtol=0)
    defined = definition.scores(plan.examples, condition)  # under the last of them
    np.testing.assert_allclose(
        found["loss"], defined["piece_loss"], atol=TOLERANCE, rtol=0
    )
    # A rank may change where two pieces are all but equally probable.
    assert (found["rank"] == defined["piece_rank"]).mean() > 0.99
    np.testing.assert_allclose(np.log(found["probability"]), -found["loss"], atol=1e-5)


@pytest.mark.parametrize("kind", QUICK_FIRST)
def test_equal_to_the_definition(kind):
    config = ablation.shallow(kind)
    assert_as_defined(config, conditions_of(config))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, place", [("vl-bert", GlobalImage.LAST), ("uniter", GlobalImage.ABSENT)]
)
def test_image_row_last_or_absent(kind, place):
    config = dataclasses.replace(
        ablation.shallow(kind), add_global_imgfeat=place, num_locs=4
    )
    assert_as_defined(config, ablation.FEW_CONDITIONS)


@pytest.mark.slow
def test_visualbert_as_transformers_has_it_scores_as_defined():
    """Without [IMG] and without a head for regions."""
    sizes = ablation.shallow("uniter")
    names = ("vocab_size", "hidden_size", "v_hidden_size", "pooler_size")
    names += ("num_attention_heads", "v_num_attention_heads", "max_position_embeddings")
    names += ("intermediate_size", "v_intermediate_size", "v_feature_size")
    config = dataclasses.replace(
        VISUALBERT,
        **one_stream_layers(2),
        **{name: getattr(sizes, name) for name in names},
    )
    assert_as_defined(config, all_conditions([Direction.VIS4LANG], [0.5]))


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_equals_the_definition(preset):
    config = ablation.small(preset)
    conditions = ablation.ALL_CONDITIONS
    if not config.visual_targets:
        conditions = ablation.VIS4LANG
    assert_as_defined(config, conditions_of(config, conditions))


@pytest.mark.parametrize("kind", QUICK_FIRST)
@pytest.mark.parametrize(
    "batch_size, devices", [(32, 2), pytest.param(3, 8, marks=pytest.mark.slow)]
)
def test_batches_devices_and_order_change_nothing(kind, batch_size, devices):
    """Nor is anything transferred behind our back."""
    order = np.random.default_rng(devices).permutation(80)
    shuffled = tuple(ablation.examples()[number] for number in order)
    reference = scored(kind, batch_size=7)
    with jax.transfer_guard("disallow"):
        scores = scored(kind, batch_size=batch_size, devices=devices, of=shuffled)
    assert_same(scores, reference, order)


def test_a_part_has_the_scores_it_has_in_the_whole():
    """VL-BERT's too: reference batches are those of the whole split."""
    rows = np.arange(30, 2, -1)
    part = tuple(ablation.examples()[row] for row in rows)
    scores = scored("vl-bert", batch_size=16, devices=2, of=part)
    assert_same(scores, scored("vl-bert", batch_size=7), rows)


@pytest.mark.slow
def test_many_sizes(monkeypatch):
    """Programs as numerous as a large split has them."""
    limits = ProgramLimits(worth=100)
    monkeypatch.setattr(evaluate, "program_limits", lambda *_: limits)
    config = ablation.shallow("two-stream")
    params = ablation.ruled_params(config)
    scores = ablation.scored(
        config, params, conditions=ablation.FEW_CONDITIONS, batch_size=16
    )
    schedule = Schedule(scores.plan, devices=1, batch_size=16, limits=limits)
    assert len(schedule.shapes) > 6
    assert_same(scores, scored("two-stream", batch_size=7))


def test_tables_that_hold_little(monkeypatch):
    """Images one after the other, in tables just large enough."""
    tables = TableSizes(words=1, regions=1)
    monkeypatch.setattr(evaluate, "choose_tables", lambda *_: tables)
    config = ablation.shallow("two-stream")
    scores = ablation.scored(
        config,
        ablation.ruled_params(config),
        conditions=ablation.FEW_CONDITIONS,
        batch_size=4,
        devices=2,
    )
    assert_same(scores, scored("two-stream", batch_size=7))


def test_a_blind_model_scores_the_same_under_every_ablation():
    """Without values in its cross-attention, neither stream hears of the other."""
    config = ablation.shallow("two-stream")
    params = jax.tree.map(np.copy, ablation.ruled_params(config))
    for leaf in ("kernel", "bias"):
        params["sublayers_2"]["text"]["value"][leaf][:] = 0
    scores = ablation.scored(config, params)
    for direction, name in (
        (Direction.VIS4LANG, "mlm"),
        (Direction.LANG4VIS, "mrc_kl"),
    ):
        losses = scores.loss(name)[:, scores.plan.columns(direction)]
        same = np.isfinite(losses).all(axis=1)
        np.testing.assert_allclose(
            losses[same],
            np.repeat(losses[same, :1], losses.shape[1], axis=1),
            atol=1e-6,
        )
    seeing = scored("two-stream", batch_size=7).loss("mlm")[:, :3]
    assert np.nanmax(np.ptp(seeing, axis=1)) > 1e-4


def test_image_token():
    published = scored("two-stream", batch_size=7)
    recomputed = scored("two-stream", batch_size=7, image_token=ImageToken.RECOMPUTED)
    np.testing.assert_array_equal(published.loss("mlm"), recomputed.loss("mlm"))
    difference = published.loss("mrc_kl") - recomputed.loss("mrc_kl")
    assert np.nanmax(np.abs(difference)) > 1e-4


def test_vl_bert_positions():
    config = ablation.shallow("vl-bert")
    intended = ablation.scored(
        config,
        ablation.ruled_params(config),
        conditions=ablation.FEW_CONDITIONS,
        positions=VlBertPositions.PER_EXAMPLE,
    )
    published = scored("vl-bert", batch_size=7)
    lengths = np.array([len(e.token_ids) for e in ablation.examples()])
    shifts = np.array([e.reference_shift_start for e in ablation.examples()])
    moved = np.abs(intended.loss("mlm")[:, 0] - published.loss("mlm")[:, 0]) > 1e-5
    assert moved.any() and not moved[shifts >= lengths].any()


@pytest.mark.slow
def test_precisions():
    exact = scored("two-stream", batch_size=7)
    rough = scored("two-stream", batch_size=7, precision=Precision.BFLOAT16)
    fast = scored("two-stream", batch_size=7, precision=Precision.DEFAULT)
    for name in ("mlm", "mrc_kl"):
        error = np.abs(rough.loss(name) - exact.loss(name))
        # Eight bits of mantissa: seen 0.02 nats at most, and never the same numbers.
        assert 1e-4 < np.nanmax(error) < 0.1
        np.testing.assert_allclose(fast.loss(name), exact.loss(name), atol=1e-3)


def test_nan_names_the_example():
    config = ablation.shallow("two-stream")
    params = jax.tree.map(np.copy, ablation.ruled_params(config))
    token = int(ablation.examples()[40].token_ids[3])
    params["text_embeddings"]["word"]["embedding"][token] = np.nan
    having = [e.number for e in ablation.examples() if token in e.token_ids]
    with pytest.raises(
        UserError, match=r"example (\d+) \(image .*mrc_xe is nan"
    ) as error:
        ablation.scored(config, params, conditions=all_conditions([Direction.LANG4VIS]))
    number = int(str(error.value).split()[1])
    assert number in having and ablation.examples()[number].text in str(error.value)


@pytest.mark.parametrize(
    "kind", ["two-stream", pytest.param("vl-bert", marks=pytest.mark.slow)]
)
def test_arithmetic_and_memory_are_what_the_compiler_counts(optimised, kind):
    """Memory from above. Real widths: what is no matrix product weighs little."""
    real = {
        name: getattr(PRESETS["ctrl_uniter_base"], name)
        for name in (
            "hidden_size",
            "v_hidden_size",
            "intermediate_size",
            "v_intermediate_size",
            "num_attention_heads",
            "v_num_attention_heads",
        )
    }
    config = dataclasses.replace(ablation.shallow(kind), **real)
    empty = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, leaf.dtype), parameter_shapes(config)
    )
    store = None
    if not config.text_only:
        store = host_store(config, ablation.regions(), ablation.average())
    plan = scored(kind, batch_size=7).plan
    evaluation = Evaluation(
        Request(config=config, params=empty, plan=plan, store=store), LocalDevices(1)
    )
    schedule = evaluation.schedule()
    programs = Programs(evaluation.scorer, evaluation.devices)
    tables = evaluation.empty_tables(schedule.tables)
    evaluation.compile_ahead(programs, schedule, tables)
    for shape in schedule.shapes:
        if isinstance(shape, Shape):
            needed = programs.compiled(shape).memory_analysis().temp_size_in_bytes
            each = pair_bytes(
                evaluation.scorer, words=shape.words, targets=shape.targets
            )
            assert needed < evaluation.batch_size * each
    counted = sum(
        programs.compiled(step.shape).cost_analysis()["flops"]
        for step in schedule.steps
    )
    explained = (
        score_cost(evaluation, schedule).operations
        + table_cost(evaluation, schedule).operations
    )
    assert abs(explained / counted - 1) < 0.1
    assert "TFLOP" in explain(evaluation)
