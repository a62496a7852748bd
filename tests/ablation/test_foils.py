"""Captions and foils, scored by the matching head intact and ablated."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers import ablation, golden, golden_world
from xabl.ablation.foils import Foils, flax_matching, prepare_foils, run_foils
from xabl.data.foils import image_ids, read_foils
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.model import VisionLanguageBert
from xabl.models.presets import PRESETS
from xabl.models.structs import RegionInput, TextInput
from xabl.results.foils import (
    FOIL_CONDITIONS,
    foils_text,
    foils_tsv,
    scores_table,
    summarise_foils,
)

pytestmark = pytest.mark.usefixtures("quick_unless_slow")

TOLERANCE = 5e-6
INTACT, REGIONS, DIFFERING, WORDS = range(len(FOIL_CONDITIONS))
CASE = golden.ablation_case("ctrl_uniter_base")
IMAGES = [image.image_id for image in golden_world.golden_images()]


def entry(image, caption, foil, votes=3):
    return {
        "dataset": "made up",
        "image_file": image,
        "caption": caption,
        "foil": foil,
        "mturk": {"caption": votes, "foil": 0, "other": 3 - votes},
    }


@pytest.fixture
def files(tmp_path):
    """A folder of two JSON files over images of the golden world."""
    folder = tmp_path / "foils"
    folder.mkdir()
    actions = {
        "a0": entry(f"{IMAGES[0]}.jpg", "A man walks a dog .", "A man walks a cat ."),
        "a1": entry(f"{IMAGES[1]}.jpg", "two red balls", "two blue balls here"),
        "a2": entry(f"{IMAGES[1]}.jpg", "not confirmed", "by annotators", votes=1),
    }
    existence = {
        f"e{n}": entry(f"{image}.jpg", "there are dogs", "there are no dogs")
        for n, image in enumerate([*IMAGES[2:], *IMAGES[:4], *IMAGES, *IMAGES[:3]])
    }
    (folder / "actions.json").write_text(json.dumps(actions))
    (folder / "existence.json").write_text(json.dumps(existence))
    return folder


@pytest.fixture
def regions(tmp_path):
    return golden_world.write_regions(tmp_path, "hdf5")


@pytest.fixture
def foils(files, regions):
    return prepare_foils(CASE.config, files, regions, golden_world.VOCABULARY)


# ---- The files ----


def test_pairs_that_annotators_confirmed(files):
    pairs = read_foils(files)
    assert [pair.name for pair in pairs[:3]] == ["a0", "a1", "e0"]
    assert {pair.group for pair in pairs} == {"actions", "existence"}
    assert pairs[0].caption == ("A", "man", "walks", "a", "dog", ".")
    names = [pair.name for pair in read_foils(files, validated=False)]
    assert names[:3] == ["a0", "a1", "a2"]
    assert read_foils(files / "actions.json") == pairs[:2]


@pytest.mark.parametrize(
    ("caption", "foil", "differing"),
    [
        ("A man walks a dog", "a man walks a cat", ([4], [4])),
        ("there are dogs", "there are no dogs", ([], [2])),
        ("a dog bites a man", "a man bites a dog", ([1, 4], [1, 4])),
        ("one", "two", ([0], [0])),
    ],
)
def test_words_in_which_caption_and_foil_differ(tmp_path, caption, foil, differing):
    path = tmp_path / "swaps.json"
    path.write_text(json.dumps({"x": entry("1.jpg", caption, foil)}))
    (pair,) = read_foils(path)
    assert pair.differing == differing


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "an object was expected in this JSON file: an object with"),
        ("nothing", "not JSON"),
        ('{"x": {"caption": "a"}}', "entry 'x': expected image_file, caption and foil"),
        ("{}", "no pairs of captions and foils"),
        (
            '{"x": {"image_file": "a", "caption": "b", "foil": "c", "mturk": 3}}',
            "entry 'x': expected the number of votes in mturk.caption",
        ),
    ],
)
def test_files_of_another_form(tmp_path, content, message):
    path = tmp_path / "foils.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_foils(path)


def test_images_by_name_and_by_number(tmp_path):
    images = ["COCO_val2014_000000238029.jpg", "exercising_255.jpg", "v7w_2378352.jpg"]
    path = tmp_path / "foils.json"
    path.write_text(json.dumps({name: entry(name, "a", "b") for name in images}))
    pairs = read_foils(path)
    known = ["exercising_255", "000000238029", "2378352", "255"]
    found = image_ids(pairs, known, "regions.h5")
    assert [found[image] for image in images] == [known[1], known[0], known[2]]
    # A short number is part of a name, not another data set's image.
    with pytest.raises(UserError, match="1 of 3 images have no .*exercising_255"):
        image_ids(pairs, known[1:], "regions.h5")


# ---- What a model sees ----


class Spy:
    """Keeps what it is shown, and calls everything a match alike."""

    def __init__(self):
        self.seen = []

    def __call__(self, words, regions):
        self.seen.append((words, regions))
        return np.zeros(len(words.token_ids))


def test_each_condition_hides_what_it_says(foils):
    spy = Spy()
    scores = foils.scores(spy)
    assert scores.shape == (len(foils.pairs), len(FOIL_CONDITIONS), 2)
    batches = len(spy.seen) // len(FOIL_CONDITIONS)
    assert batches == 2  # of 16 pairs
    first = spy.seen[::batches]  # pair a0's caption and foil are rows 0 and 1
    mask = foils.word_pieces.mask_id
    masked = [np.flatnonzero(words.token_ids[0] == mask).tolist() for words, _ in first]
    pieces = foils.word_pieces.encode(foils.pairs[0].caption)
    dog = np.flatnonzero(pieces.word_index == 4).tolist()
    everything = list(range(1, len(pieces.token_ids) - 1))
    assert masked == [[], [], dog, everything]
    image = golden_world.golden_images()[0]
    for column, (words, regions) in enumerate(first):
        ablated = column == REGIONS
        features = np.broadcast_to(foils.average, image.features.shape)
        expected = features if ablated else image.features
        for row in (0, 1):
            np.testing.assert_array_equal(regions.features[row], expected)
            assert words.mask[row].sum() == len(pieces.token_ids)
        whole = foils.average if ablated else image.features.mean(axis=0)
        np.testing.assert_allclose(regions.image[0], whole, rtol=1e-6)


def test_average_features_count_an_image_as_often_as_its_pairs(foils):
    means = {i.image_id: i.features.mean(0) for i in golden_world.golden_images()}
    each = [means[pair.image_file.removesuffix(".jpg")] for pair in foils.pairs]
    np.testing.assert_allclose(foils.average, np.mean(each, axis=0), rtol=1e-5)


def test_a_model_that_is_right_by_construction(foils):
    """It knows which words are true of an image if it sees word and image."""
    true = {foils.word_pieces.encode([word]).token_ids[1] for word in ("dog", "red")}

    def matching(words, regions):
        says = np.isin(words.token_ids, list(true)).any(axis=1)
        sees = (regions.features != foils.average).any(axis=(1, 2))
        return (says & sees).astype(np.float32)

    table = scores_table(
        [pair.name for pair in foils.pairs],
        [pair.image_file for pair in foils.pairs],
        [pair.group for pair in foils.pairs],
        foils.scores(matching),
    )
    actions, existence, both = np.reshape(summarise_foils(table), (3, -1))
    assert [row.accuracy for row in actions] == [1, 0.5, 0.5, 0.5]
    assert [row.fall for row in actions] == [0, 0.5, 0.5, 0.5]
    assert [row.accuracy for row in existence] == [0.5] * 4  # dogs: always both or none
    assert [row.group for row in both] == ["all"] * 4 and both[0].pairs == 19
    assert both[0].accuracy == pytest.approx((2 + 17 / 2) / 19)


def table_of(scores, images):
    pairs = [str(number) for number in range(len(scores))]
    return scores_table(pairs, images, ["plurals"] * len(scores), scores)


def scores_of(right, right_without_regions):
    """Caption above foil (1) or below it (-1); without words nothing but noise."""
    scores = np.zeros((len(right), len(FOIL_CONDITIONS), 2), np.float32)
    scores[:, INTACT, 0] = right
    scores[:, REGIONS, 0] = right_without_regions
    scores[:, WORDS, 0] = np.where(np.arange(len(right)) % 3, 1e-6, -1e-6)
    return scores


def test_one_table():
    scores = scores_of([1, 1, 1, -1], [1, 1, -1, -1])
    rows = summarise_foils(table_of(scores, list("wxyz")))
    assert [row.accuracy for row in rows] == [0.75, 0.5, 0.5, 0.5]
    assert np.isnan([rows[REGIONS].low, rows[REGIONS].high]).all()
    header, line, brackets, few = foils_text(rows).splitlines()
    assert header.split("  ")[0] == "group" and "All regions" in header
    assert line.startswith("plurals  4  75.0    50.0 (-25.0)")
    assert "95% interval over images" in brackets
    assert few == "plurals: 4 images: too few for an interval, which needs 30"
    tsv = [line.split("\t") for line in foils_tsv("mine", rows).splitlines()]
    assert tsv[2] == ["mine", "plurals", "regions", "4", "0.5", "0.25", "nan", "nan"]


def test_intervals_are_over_images():
    """Ten equal pairs of an image tell as much as one."""
    intact, without = np.repeat([1, 1, 1], 20), np.repeat([1, -1, -1], 20)
    images = [str(number) for number in range(60)]
    (alone,) = summarise_foils(table_of(scores_of(intact, without), images))[1:2]
    assert alone.fall == pytest.approx(2 / 3)
    assert 0.5 < alone.low < alone.fall < alone.high < 0.8
    tenfold = scores_of(np.repeat(intact, 10), np.repeat(without, 10))
    rows = summarise_foils(table_of(tenfold, np.repeat(images, 10).tolist()))
    assert (rows[1].low, rows[1].high) == pytest.approx((alone.low, alone.high))
    text = foils_text(rows)
    assert f"(-66.7, {-100 * alone.high:+.1f} to {-100 * alone.low:+.1f})" in text


# ---- Our models ----


def params():
    tree = ablation.params_of(CASE.state_dict(), CASE.config)
    return jax.tree.map(jnp.asarray, tree)


def test_scores_are_those_of_each_text_alone(foils):
    """Unpadded, one at a time, everything written out."""
    small = Foils(**{**vars(foils), "pairs": foils.pairs[:2]})
    scores = small.scores(flax_matching(CASE.config, params()))
    apply = jax.jit(VisionLanguageBert(CASE.config).apply)
    images = {image.image_id: image for image in golden_world.golden_images()}
    for number, pair in enumerate(small.pairs):
        image = images[pair.image_file.removesuffix(".jpg")]
        for column in (INTACT, REGIONS, WORDS):
            for side, text in enumerate((pair.caption, pair.foil)):
                ids = foils.word_pieces.encode(text).token_ids.copy()
                if column == WORDS:
                    ids[1:-1] = foils.word_pieces.mask_id
                features = image.features
                if column == REGIONS:
                    features = np.tile(foils.average, (image.num_boxes, 1))
                features = np.concatenate([features.mean(0, keepdims=True), features])
                x1, y1, x2, y2 = image.boxes.T
                w, h = image.img_w, image.img_h
                area = (x2 - x1) * (y2 - y1) / (w * h)
                boxes = np.stack([x1 / w, y1 / h, x2 / w, y2 / h, area], 1)
                boxes = np.concatenate([[[0, 0, 1, 1, 1]], boxes])
                logits = apply(
                    {"params": params()},
                    TextInput(
                        token_ids=jnp.array(ids[None]),
                        mask=jnp.ones((1, len(ids)), bool),
                        token_type_ids=jnp.zeros((1, len(ids)), jnp.int32),
                        position_shift_start=jnp.array([len(ids)], jnp.int32),
                    ),
                    RegionInput(
                        features=jnp.array(features[None]),
                        locations=jnp.array(boxes[None], jnp.float32),
                        mask=jnp.ones((1, len(features)), bool),
                    ),
                ).itm_logits[0]
                assert scores[number, column, side] == pytest.approx(
                    float(logits[0] - logits[1]), abs=TOLERANCE
                )


@pytest.mark.parametrize("preset", ["bert_base", "vl-bert_base"])
def test_a_model_without_the_head(preset):
    with pytest.raises(UserError, match="has no head that says whether a caption"):
        flax_matching(PRESETS[preset], {})


def test_a_run_from_files_to_the_table(tmp_path, files, regions):
    model = tmp_path / "model"
    model_directory.save(
        model,
        CASE.config,
        params(),
        vocabulary=golden_world.VOCABULARY,
        report={"notes": ["this head was never trained"]},
    )
    said, output = [], tmp_path / "results"
    table = run_foils(model, files, regions, output, label="mine", say=said.append)
    assert said == [
        "note: this head was never trained",
        foils_text(summarise_foils(table)),
    ]
    assert pq.read_table(output / "foils.parquet").equals(table)
    assert (output / "foils.tsv").read_text().startswith("Model\tGroup\tAblated\tn\t")
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["model"]["label"] == "mine" and manifest["data"]["pairs"] == 19
    assert "git_commit" in manifest  # named as in other results
    scores = np.stack([table["caption"].to_numpy(), table["foil"].to_numpy()])
    assert np.isfinite(scores).all() and scores.std() > 0
    with pytest.raises(UserError, match="exists already"):
        run_foils(model, files, regions, output)
    other = tmp_path / "precious"
    other.mkdir()
    (other / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="holds something else"):
        run_foils(model, files, regions, other, overwrite=True)
