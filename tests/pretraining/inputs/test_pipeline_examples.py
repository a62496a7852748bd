"""What one batch holds, for every objective, model and option."""

import dataclasses

import numpy as np
import pytest

from tests.helpers import tiny_corpus
from tests.helpers.tiny_training import is_target
from xabl.errors import UserError
from xabl.models.config import GlobalImage
from xabl.models.presets import PRESETS
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.corpus.writer import write_corpus
from xabl.pretraining.inputs.config import InputConfig, TrainingAblation
from xabl.pretraining.inputs.example_maker import ExampleMaker

NUMBER = 40  # images; twice as many examples
EVERYTHING = np.arange(2 * NUMBER)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tiny_corpus.corpus(tmp_path_factory.mktemp("corpus"), NUMBER)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return tiny_corpus.write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture
def make(corpus, vocabulary):
    """make(model changes, **inputs) -> the batch of all examples in epoch 0."""

    def make_batch(*targets, image_row=GlobalImage.FIRST, num_locs=5, **inputs):
        settings = InputConfig(max_words=10, **inputs)
        model = model_of(*targets, add_global_imgfeat=image_row, num_locs=num_locs)
        return ExampleMaker(corpus, vocabulary, model, settings).batch(0, 0, EVERYTHING)

    return make_batch


def model_of(*targets, **changes):
    weights = tuple((target, 1.0) for target in targets or ("0",))
    return dataclasses.replace(
        PRESETS["ctrl_uniter_base"],
        v_feature_size=8,
        visual_target_weights=weights,
        **changes,
    )


def image_of(corpus, example):
    record = int(corpus.image_of[example])
    return tiny_corpus.image(corpus.image(record).image_id)


def pieces_of(caption):
    return [tiny_corpus.VOCABULARY.index(word) for word in caption.split()]


def test_words_without_masking_are_the_caption(make, corpus):
    batch = make(word_rate=0.0, objective=2)
    for row in EVERYTHING:
        pieces = pieces_of(corpus.captions[row].as_py())
        expected = [2, *pieces, 3]
        length = len(expected)
        np.testing.assert_array_equal(batch.token_ids[row, :length], expected)
        assert not batch.token_ids[row, length:].any()
        assert batch.text_mask[row].sum() == batch.position_shift_start[row] == length
    assert not batch.token_type_ids.any()
    np.testing.assert_array_equal(batch.example_index, EVERYTHING)


def test_words_are_labelled_where_they_are_masked(make):
    batch, plain = make(objective=2), make(objective=2, word_rate=0.0)
    is_target = batch.mlm_targets >= 0
    assert is_target.any()
    np.testing.assert_array_equal(
        batch.mlm_targets[is_target], plain.token_ids[is_target]
    )
    changed = batch.token_ids != plain.token_ids
    assert changed.any() and not (changed & ~is_target).any()
    special = np.isin(plain.token_ids, [0, 2, 3])
    assert not (special & is_target).any()


def test_captions_are_cut(corpus, vocabulary):
    maker = ExampleMaker(
        corpus, vocabulary, model_of(), InputConfig(max_words=4, word_rate=0.0)
    )
    batch = maker.batch(0, 0, EVERYTHING)
    assert batch.token_ids.shape == (len(EVERYTHING), 4)
    assert (batch.token_ids[:, 3] == 3).all()


def test_regions_are_labelled_where_they_are_masked(make, corpus):
    batch = make("0", "1", "3", "4", objective=2, region_rate=0.4)
    features, plain = batch.region_features, batch.unmasked_features
    changed = (features != plain).any(axis=2)
    assert not (changed[:, 1:] & ~is_target(batch)[:, 1:]).any()
    assert not features[changed & is_target(batch)].any()
    assert not is_target(batch)[:, 0].any()  # [IMG]
    unchanged = is_target(batch) & ~changed
    assert unchanged.any() and unchanged.sum() < changed.sum()
    for row in EVERYTHING:
        image = image_of(corpus, row)
        np.testing.assert_array_equal(plain[row, 1:], image.features)
        targets = np.flatnonzero(is_target(batch)[row])
        slots = batch.target_rows[row]
        np.testing.assert_array_equal(slots[: len(targets)], targets)
        assert (slots[len(targets) :] == -1).all()
        assert len(batch.labels) == 5
        for name, labels in batch.labels.items():
            np.testing.assert_array_equal(
                labels[row, : len(targets)], getattr(image, name)[targets - 1]
            )


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("0", {"cls_prob"}),
        ("1", {"unmasked_features"}),
        ("2", {"unmasked_features"}),
        ("3", {"objects_id", "objects_conf"}),
        ("4", {"attrs_id", "attrs_conf"}),
        ("5", {"unmasked_features"}),
        ("6", {"objects_id"}),
    ],
)
def test_each_objective_has_its_own_fields(make, target, fields):
    batch = make(target)
    found = set(batch.labels)
    if batch.unmasked_features is not None:
        found.add("unmasked_features")
    assert found == fields


@pytest.mark.parametrize("image_row", list(GlobalImage))
@pytest.mark.parametrize("num_locs", [4, 5])
def test_the_image_row_and_the_locations(make, corpus, image_row, num_locs):
    batch = make(
        "1", objective=2, region_rate=0.0, image_row=image_row, num_locs=num_locs
    )
    box_rows = {GlobalImage.FIRST: slice(1, 5)}.get(image_row, slice(0, 4))
    features, placed = batch.region_features, batch.region_locations
    assert features.shape[1] == placed.shape[1] == 4 + (image_row.value is not None)
    assert placed.shape[2] == num_locs
    assert batch.region_mask.all()
    for row in EVERYTHING:
        image = image_of(corpus, row)
        np.testing.assert_array_equal(features[row, box_rows], image.features)
        x1, y1, x2, y2 = image.boxes.T
        area = (x2 - x1) * (y2 - y1) / (200 * 100)
        expected = np.stack([x1 / 200, y1 / 100, x2 / 200, y2 / 100, area], axis=1)
        np.testing.assert_allclose(
            placed[row, box_rows], expected[:, :num_locs], rtol=1e-6
        )
        if image_row.value is not None:
            place = 0 if image_row is GlobalImage.FIRST else -1
            np.testing.assert_allclose(
                features[row, place], image.features.mean(0), rtol=1e-6
            )
            np.testing.assert_array_equal(
                placed[row, place], [0, 0, 1, 1, 1][:num_locs]
            )


def test_the_image_row_after_masking(make):
    """Threshold "none": every region counts, so only the zeros are missing."""
    batch = make(objective=2, region_rate=0.5, overlap_threshold=2.0)
    np.testing.assert_allclose(
        batch.region_features[:, 0],
        batch.region_features[:, 1:].mean(axis=1),
        rtol=1e-6,
    )
    # Hardly less than 1: the targets themselves, hidden or not, do not count.
    usual = make(objective=2, region_rate=0.5, overlap_threshold=0.99)
    left = np.maximum((~is_target(usual)[:, 1:]).sum(axis=1), 1)
    np.testing.assert_allclose(
        usual.region_features[:, 0],
        usual.region_features[:, 1:].sum(axis=1) / left[:, None],
        rtol=1e-6,
    )


def test_overlap_masking_removes_what_leaks(make):
    settings = {"objective": 2, "region_rate": 0.4, "overlap_threshold": 0.1}
    published = make("0", "1", **settings)
    zeroed = make("0", "1", **settings, overlap_masking="zero_features")
    np.testing.assert_array_equal(published.target_rows, zeroed.target_rows)
    was_kept = published.region_features[:, 1:].any(axis=2)
    is_kept = zeroed.region_features[:, 1:].any(axis=2)
    leaked = was_kept & ~is_kept
    assert leaked.any() and not (is_kept & ~was_kept).any()
    chosen = is_target(published)[:, 1:]
    assert (leaked & ~chosen).any()
    # Without a target in the image nothing overlaps one.
    assert is_kept[~chosen.any(axis=1)].all()


@pytest.mark.parametrize("objective", [0, 1, 2])
def test_replaced_captions(make, corpus, objective):
    batch = make(objective=objective, region_rate=0.4, word_rate=0.4)
    plain = make(objective=objective, region_rate=0.4, word_rate=0.0)
    replaced = batch.itm_labels == 1
    has_word_target = (batch.mlm_targets >= 0).any(axis=1)
    has_region_target = is_target(batch).any(axis=1)
    if objective == 2:
        assert not replaced.any()
        assert (batch.itm_labels == -1).all()
        return
    np.testing.assert_array_equal(batch.itm_labels, replaced)
    assert 0.2 < replaced.mean() < 0.8
    known = [pieces_of(caption.as_py()) for caption in corpus.captions]
    for row in EVERYTHING:
        words = plain.token_ids[row][plain.text_mask[row]][1:-1].tolist()
        assert words in known
        assert (words == known[row]) or replaced[row]
    # The inputs of replaced pairs are masked all the same.
    assert (batch.token_ids[replaced] == tiny_corpus.MASK).any()
    assert not batch.region_features[replaced][:, 1:].any(axis=2).all()
    if objective == 1:
        assert not has_word_target[replaced].any()
        assert not has_region_target[replaced].any()
    else:
        assert has_word_target[replaced].any()
        assert has_region_target[replaced].any()
    assert has_word_target[~replaced].any() and has_region_target[~replaced].any()


def test_vision_only(make):
    batch = make(vision_only=True, region_rate=0.4)
    assert batch.token_ids.shape == (len(EVERYTHING), 1)
    assert not batch.text_mask.any()
    assert (batch.mlm_targets == -1).all() and (batch.itm_labels == -1).all()
    assert is_target(batch).any()


def test_text_only(corpus, vocabulary):
    maker = ExampleMaker(corpus, vocabulary, PRESETS["bert_base"], InputConfig())
    batch = maker.batch(0, 0, EVERYTHING)
    assert batch.regions is None and batch.target_rows is None
    assert (batch.itm_labels == -1).all() and (batch.mlm_targets >= 0).any()


def test_ablation_of_all_words(make):
    ablation = TrainingAblation(modality="words")
    batch, plain = make(objective=2, ablations=(ablation,)), make(objective=2)
    is_piece = plain.text_mask & ~np.isin(plain.token_ids, [2, 3])
    edges = plain.text_mask.sum(1) - 1
    is_piece[:, 0] = False
    is_piece[np.arange(len(edges)), edges] = False
    assert (batch.token_ids[is_piece] == tiny_corpus.MASK).all()
    np.testing.assert_array_equal(
        batch.token_ids[~is_piece], plain.token_ids[~is_piece]
    )
    np.testing.assert_array_equal(batch.mlm_targets, plain.mlm_targets)
    np.testing.assert_array_equal(batch.region_features, plain.region_features)


def test_ablation_of_all_regions(make, corpus):
    """What is left of the image is its zeros, its locations and the average."""
    ablation = TrainingAblation(modality="regions")
    settings = {"objective": 2, "region_rate": 0.4}
    batch, plain = make(**settings, ablations=(ablation,)), make(**settings)
    zero = ~plain.region_features.any(axis=2)
    expected = np.where(zero[..., None], 0, corpus.average_features)
    np.testing.assert_array_equal(batch.region_features[:, 1:], expected[:, 1:])
    np.testing.assert_array_equal(batch.region_locations, plain.region_locations)
    np.testing.assert_array_equal(batch.target_rows, plain.target_rows)
    np.testing.assert_array_equal(batch.token_ids, plain.token_ids)
    # [IMG] is computed from the result: the published divisor, no image left in it.
    images = [image_of(corpus, row).features.mean(0) for row in EVERYTHING]
    shown = batch.region_features[:, 0] / np.linalg.norm(
        batch.region_features[:, 0], axis=1, keepdims=True
    ).clip(1e-9)
    some = batch.region_features[:, 0].any(axis=1)
    average = corpus.average_features / np.linalg.norm(corpus.average_features)
    np.testing.assert_allclose(
        shown[some], np.tile(average, (some.sum(), 1)), rtol=1e-5
    )
    assert np.std(images, axis=0).min() > 0.01


def test_ablation_of_some_examples(make):
    ablation = TrainingAblation(modality="regions", probability=0.5)
    batch = make(objective=2, region_rate=0.0, ablations=(ablation,))
    spread = np.ptp(batch.region_features[:, 1:], axis=1).max(axis=1)
    assert 0.2 < (spread == 0).mean() < 0.8


def test_images_with_fewer_boxes_are_padded(tmp_path, vocabulary):
    few = tiny_corpus.captioned_images(3, num_boxes=2)
    write_corpus(few, tmp_path / "corpus", "train", num_boxes=5)
    corpus = Corpus(tmp_path / "corpus", "train")
    ablation = TrainingAblation(modality="regions")
    for ablations in ((), (ablation,)):
        maker = ExampleMaker(
            corpus,
            vocabulary,
            model_of(),
            InputConfig(objective=2, region_rate=1.0, ablations=ablations),
        )
        batch = maker.batch(0, 0, np.arange(6))
        np.testing.assert_array_equal(
            batch.region_mask, [[True, True, True, False, False, False]] * 6
        )
        assert not batch.region_features[:, 3:].any()
        np.testing.assert_array_equal(is_target(batch)[:, 1:3].all(1), [True] * 6)
        assert not is_target(batch)[:, 3:].any()
    maker = ExampleMaker(corpus, vocabulary, model_of(), InputConfig(region_rate=0.0))
    plain = maker.batch(0, 0, np.arange(6)).region_features
    np.testing.assert_allclose(plain[:, 0], plain[:, 1:3].mean(axis=1), rtol=1e-6)


def test_what_does_not_fit_is_named(tmp_path, corpus, vocabulary):
    with pytest.raises(UserError, match="8 features a region.*reads 16"):
        wide = dataclasses.replace(model_of(), v_feature_size=16)
        ExampleMaker(corpus, vocabulary, wide, InputConfig())
    with pytest.raises(UserError, match="13 word pieces.*room for 12"):
        small = dataclasses.replace(model_of(), vocab_size=12)
        ExampleMaker(corpus, vocabulary, small, InputConfig())
    with pytest.raises(UserError, match="text-only model"):
        inputs = InputConfig(vision_only=True)
        ExampleMaker(corpus, vocabulary, PRESETS["bert_base"], inputs)
    bare = tiny_corpus.corpus(tmp_path, 2, has_cls_prob=False, has_attributes=False)
    with pytest.raises(UserError, match="no class distributions"):
        ExampleMaker(bare, vocabulary, model_of("0"), InputConfig())
    with pytest.raises(UserError, match="no attributes"):
        ExampleMaker(bare, vocabulary, model_of("4"), InputConfig())
    ExampleMaker(bare, vocabulary, model_of("6"), InputConfig()).batch(
        0, 0, np.arange(2)
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("objective", 3),
        ("overlap_measure", "giou"),
        ("overlap_masking", "none"),
        ("word_rate", 1.5),
        ("region_rate", -0.1),
        ("overlap_threshold", -1.0),
        ("max_words", 2),
        ("ablations", (TrainingAblation(modality="vision"),)),
        ("ablations", (TrainingAblation(modality="words", share=2.0),)),
    ],
)
def test_settings_out_of_range_are_named(field, value):
    with pytest.raises(UserError, match=field):
        InputConfig(**{field: value})
