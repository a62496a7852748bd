"""`import xabl`: the same numbers as the command, for a split and for one example."""

import ast
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import xabl
from tests.helpers import ablation, golden_world
from tests.helpers.ablation_binaries import STORE, manifest
from tests.helpers.binaries import ROOT
from xabl.python import frames
from xabl.results.conditions import Direction
from xabl.results.losses import LOSSES, columns_of

MODELS = (pytest.param("vl-bert", marks=pytest.mark.slow), "two-stream")
# As the command's runs are compiled.
pytestmark = pytest.mark.usefixtures("quick_compilation")
# One example against many at once: a float32 of 10 nats has steps of 9.5e-7.
TOLERANCE = {"abs": 1e-6, "rel": 2e-7}
FLAGS = {"vlbert_positions": "per_example", "save_predictions": 2, "replace_seed": 3}
WAYS = ("zero", "other_image", "other_caption", "drop")


@pytest.fixture(scope="module", params=MODELS)
def scored(workshop, request):
    """A model, and the results directory of the command."""
    output = workshop.folder / f"results-{request.param}"
    model = workshop.small_model(request.param)
    flags = FLAGS | {"regions": workshop.regions(STORE), "thresholds": "0.0,0.5"}
    flags["replace"] = ",".join(WAYS)
    done = workshop.ablate(model=model, output=output, **flags)
    assert done.status == 0, done.err
    return xabl.load(model), output


@pytest.fixture(scope="module")
def two_stream(workshop):
    return xabl.load(workshop.small_model("two-stream"))


@pytest.fixture(scope="module")
def regions(workshop):
    return xabl.regions(workshop.regions(STORE), entities=golden_world.ENTITIES)


@pytest.fixture
def example(two_stream, regions):
    """A caption of one's own: it need not be in any data set."""
    return two_stream.example(
        regions[next(iter(regions))], "he throws a big ball", phrase=(2, 3)
    )


def read(results, name):
    return pd.read_parquet(results / f"{name}.parquet")


def assert_same(found, expected):
    """Equal frames, losses to 1e-6."""
    assert list(found) == list(expected)
    losses = [name for name in expected if name in LOSSES]
    np.testing.assert_allclose(found[losses], expected[losses], rtol=0, atol=1e-6)
    pd.testing.assert_frame_equal(
        found.drop(columns=losses), expected.drop(columns=losses), atol=1e-6
    )


def test_ablate_gives_what_the_command_writes(workshop, scored, tmp_path, capsys):
    model, output = scored
    scores = xabl.ablate(
        model,
        entities=golden_world.ENTITIES,
        regions=workshop.regions(STORE),
        thresholds=[0.0, 0.5],
        replace=WAYS,
        devices=1,
        **FLAGS,
    )
    assert_same(scores.frame(), read(output, "scores"))
    scores.save(tmp_path / "saved here")
    for name, frame in (
        ("scores", scores.frame()),
        ("examples", scores.examples()),
        ("words", scores.words()),
        ("predictions", scores.predictions()),
    ):
        pd.testing.assert_frame_equal(frame, read(tmp_path / "saved here", name))
        assert_same(frame, read(output, name))
    summary = (tmp_path / "saved here" / "summary.tsv").read_text()
    assert len(scores.summary()) == len(summary.splitlines()) - 1
    expected = read(output, "scores").query("condition == 'all'").mlm.mean() / np.log(2)
    (row,) = (
        scores.summary().query("direction == 'vis4lang' and condition == 'all'").mlm
    )
    assert row == pytest.approx(expected, abs=1e-6) and f"{row:.4f}" in repr(scores)
    saved, written = manifest(tmp_path / "saved here"), manifest(output)
    assert saved.keys() == written.keys() and saved["identity"] == written["identity"]
    place = f"{tmp_path}/saved here"
    told = f"wrote {place}\nnext: xabl report --results='{place}' --output=report.html"
    assert told in capsys.readouterr().out
    with pytest.raises(xabl.UserError, match="another output= .* with overwrite=True"):
        scores.save(tmp_path / "saved here")


def test_an_example_gives_its_rows(scored, regions):
    """Every condition of some phrases; the mean over the pieces of a phrase."""
    model, output = scored
    scores, seed = read(output, "scores"), FLAGS["replace_seed"]
    donors = ablation.donors(seed)
    for row in read(output, "examples").iloc[[0, 7, 40]].itertuples():
        partner = donors.image_for(donors.image_ids.index(row.image_id))
        other = regions[donors.image_ids[partner]]
        example = model.example(
            regions[row.image_id],
            row.sentence,
            phrase=(row.first_word, row.num_words),
            boxes=json.loads(row.boxes),
        )
        assert example.phrase.text == row.phrase
        for expected in scores[scores.example == row.example].itertuples():
            if pd.notna(expected.excluded) or "other_caption" in expected.condition:
                continue
            if expected.direction == "vis4lang":
                found = example.ablate(expected.condition, other=other)
                assert len(found) == expected.target_pieces
                assert found.mlm.mean() == pytest.approx(expected.mlm, **TOLERANCE)
                assert " ".join(found.predicted) == expected.predicted
                continue
            (found,) = example.ablate(words=expected.condition).itertuples()
            assert found.target_region == expected.target_region
            assert found.silver_class == expected.silver_class
            assert str(found.predicted) == expected.predicted
            for name in columns_of(Direction.LANG4VIS):
                value = getattr(expected, name)
                if np.isfinite(value):
                    assert getattr(found, name) == pytest.approx(value, **TOLERANCE), (
                        name
                    )


def test_regions_by_number_are_those_of_a_condition(two_stream, regions, example):
    everything = range(example.image.num_boxes)
    pd.testing.assert_frame_equal(
        example.ablate(regions=everything), example.ablate("all")
    )
    pd.testing.assert_frame_equal(example.ablate(regions=[]), example.ablate("none"))
    pd.testing.assert_frame_equal(example.ablate(), example.ablate("none"))
    some = example.ablate(regions=[3, 7]).mlm.mean()
    assert some not in (example.ablate().mlm.mean(), example.ablate("all").mlm.mean())


def test_words_by_number_are_those_of_a_condition(example):
    number_of = {"none": [], "phrase": [2, 3, 4], "all": range(5)}
    for name, numbers in number_of.items():
        pd.testing.assert_frame_equal(
            example.ablate(words=numbers, target=2),
            example.ablate(words=name, target=2),
        )
    (found,) = example.ablate(words=[0], target=2).itertuples()
    assert found.target_region == 2 and found.mrc_kl > 0
    pd.testing.assert_frame_equal(
        example.ablate(target=2), example.ablate(words="none", target=2)
    )


def test_ways_of_removing_by_name(regions, example):
    other = regions[list(regions)[1]]
    for way in ("average", "zero", "drop", "other_image"):
        given = {"other": other} if way == "other_image" else {}
        name = "all" if way == "average" else f"all/{way}"
        expected = example.ablate(name, **given)
        for found in (
            example.ablate("all", replace=way, **given),
            example.ablate(regions=range(36), replace=way, **given),
        ):
            pd.testing.assert_frame_equal(found, expected)
    assert example.ablate(regions=[], replace="drop").equals(example.ablate())
    # Words of another caption as many times as it takes.
    given = {"replace": "other_caption", "target": 2}
    once = example.ablate(words="all", other="a girl", **given)
    again = example.ablate(words="all", other="a girl a girl a girl", **given)
    pd.testing.assert_frame_equal(once, again)
    assert not once.equals(example.ablate(words="all", target=2))
    same = example.ablate(words="phrase", other="a big ball", **given)
    pd.testing.assert_frame_equal(same, example.ablate(target=2))


def test_a_frame_by_word(example):
    found = example.ablate()
    assert set(found.word) <= {"a", "big", "ball"}
    assert list(found) == ["word", "piece", "mlm", "rank", "predicted", "probability"]
    best = found["rank"] == 1
    assert (found.predicted == found.piece).equals(best)
    np.testing.assert_allclose(np.exp(-found.mlm[best]), found.probability[best], 1e-6)


def test_without_pandas_frames_are_tables_of_arrow(monkeypatch, example):
    monkeypatch.setattr(frames.importlib.util, "find_spec", lambda name: None)
    found = example.ablate()
    assert isinstance(found, pa.Table) and "mlm" in found.column_names


@pytest.mark.parametrize(
    ("phrase", "place"), [((0, 1), (0, 1)), ((2, 3), (2, 3)), ("a big ball", (2, 3))]
)
def test_a_phrase_is_named_by_numbers_or_words(two_stream, example, phrase, place):
    same = two_stream.example(example.image, "he throws a big ball", phrase=phrase)
    found = same.phrase.phrase
    assert (found.first_word, found.num_words) == place


@pytest.mark.parametrize(
    "phrase", [(0, 0), (-1, 2), (3, 3), (5, 1), (1,), "", "a ball", "b"]
)
def test_a_phrase_that_is_not_there(two_stream, example, phrase):
    with pytest.raises(xabl.UserError, match="within the 5 words of the caption"):
        two_stream.example(example.image, "he throws a big ball", phrase=phrase)


@pytest.mark.parametrize(
    "boxes", [[], [1, 2, 3], [[1, 2, 3]], [9, 0, 3, 5], [0, 0, np.nan, 1], "all"]
)
def test_boxes_that_are_none(two_stream, example, boxes):
    with pytest.raises(xabl.UserError, match="expected x1, y1, x2, y2 in pixels"):
        two_stream.example(example.image, "a ball", phrase=(0, 2), boxes=boxes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"condition": "object@0.5"}, "give boxes="),
        ({"condition": "everything"}, "not a condition this version knows"),
        ({"regions": [36]}, "regions: 36 is none of 0 ... 35"),
        ({"regions": [-1]}, "regions: -1 is none of"),
        ({"words": "none"}, "which region is to be predicted"),
        ({"words": "some", "target": 1}, "lang4vis some: not a condition"),
        ({"words": [5], "target": 1}, "words: 5 is none of 0 ... 4"),
        ({"words": "all", "target": 99}, "target: 99 is none of"),
        ({"condition": "all", "regions": [1]}, "give one of"),
        ({"condition": "all", "target": 1}, "give one of"),
        ({"condition": "all", "replace": "blur"}, "'blur' is no way of removing"),
        ({"condition": "all", "replace": "mask"}, "give one way of removing regions"),
        ({"condition": "all/zero", "replace": "drop"}, "give one way of removing"),
        ({"condition": "all/other_image"}, "give the image whose regions stand in"),
        ({"words": "all/other_caption", "target": 1}, "give the words that stand in"),
    ],
)
def test_what_cannot_be_ablated(example, arguments, message):
    with pytest.raises(xabl.UserError, match=re.escape(message)):
        example.ablate(**arguments)


def test_regions_are_a_mapping(workshop, regions):
    ids = list(regions)
    assert len(ids) == len(regions) == 6 and ids[0] in regions
    assert regions["00" + ids[0]].image_id == ids[0]
    assert "1" not in regions and regions.get("1") is None
    with pytest.raises(KeyError, match="has no regions for image 1"):
        regions["1"]
    # Every image of the file once, where nothing says how often it is mentioned.
    alone = xabl.regions(workshop.regions(STORE))
    means = [regions[image_id].features.mean(axis=0) for image_id in ids]
    np.testing.assert_allclose(alone.average, np.mean(means, axis=0), atol=1e-6)
    assert abs(alone.average - regions.average).max() > 1e-4


def test_an_average_may_be_given(two_stream, regions, example):
    bare = next(iter(golden_world.golden_images()))
    words = "he throws a big ball"
    with pytest.raises(xabl.UserError, match="take the image from xabl.regions"):
        two_stream.example(bare, words, phrase=(2, 3)).ablate("all")
    given = {"average": regions.average}
    same = two_stream.example(bare, words, phrase=(2, 3), **given)
    pd.testing.assert_frame_equal(same.ablate("all"), example.ablate("all"))


def test_a_text_only_model(workshop, example):
    bert = xabl.load(workshop.small_model("bert"))
    found = bert.example(None, "a ball", phrase=(1, 1)).ablate()
    assert list(found.word.unique()) == ["ball"]
    with pytest.raises(xabl.UserError, match="sees no image: give None"):
        bert.example(example.image, "a ball", phrase=(1, 1))


def test_show(example, tmp_path, regions, two_stream):
    file = tmp_path / "ball.png"
    Image.new("RGB", (4, 3)).save(file)
    picture = example.show(regions=[3, 7], picture=file)
    html = picture._repr_html_()
    assert "he throws <b>a big ball</b>" in html and "data:image/png;base64," in html
    root = ElementTree.fromstring(picture.svg())
    boxes = [node for node in root if node.tag.endswith("rect")][1:]
    filled = [n for n, box in enumerate(boxes) if box.get("fill") != "none"]
    assert len(boxes) == example.image.num_boxes and filled == [3, 7]
    assert repr(picture) == "he throws [a big ball]\nablated regions: 3, 7"
    with pytest.raises(xabl.UserError, match="gone.png: cannot be read"):
        example.show(picture=tmp_path / "gone.png")
    unkind = two_stream.example(example.image, "a <b> & c", phrase=(1, 1))
    assert "a <b>&lt;b&gt;</b> &amp; c" in unkind.show("all")._repr_html_()


def test_import_is_quick_and_lists_what_there_is():
    code = "import sys, xabl; print(sorted(sys.modules)); print(dir(xabl))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    imported, names = map(ast.literal_eval, done.stdout.splitlines())
    assert not {"jax", "numpy", "pyarrow", "absl"} & set(imported)
    assert set(xabl.__all__) <= set(names)
    assert all(getattr(xabl, name) is not None for name in xabl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'unload'"):
        xabl.unload  # noqa: B018


@pytest.mark.parametrize(
    "argument, message",
    [
        ({"precision": "sometimes"}, "'sometimes' is not highest or"),
        ({"image_token": "sometimes"}, "'sometimes' is not published or"),
        ({"vlbert_positions": "sometimes"}, "'sometimes' is not reference_batch or"),
        ({"mismatch": "sometimes"}, "'sometimes' is not stop_if_certain or"),
        ({"directions": ["vis"]}, "'vis' is not vis4lang or lang4vis"),
        ({"directions": []}, "^directions: give vis4lang, lang4vis or both"),
        ({"thresholds": [0.5, 1.0]}, "^thresholds: 1.0 is not an overlap"),
        ({"replace": "blur"}, "'blur' is no way of removing"),
        ({"replace_seed": -1}, "^replace_seed=-1: give 0 or more"),
        ({"limit": 0}, "^limit=0: give the number of examples"),
        ({"batch_size": 0}, "^batch_size is 0, at least 1 is needed"),
        ({"save_predictions": -1}, "^save_predictions is -1, at least 0 is needed"),
        ({"tagger": "nltk"}, "^tagger is 'nltk', expected one of stanza"),
        ({"split": "nowhere"}, "nowhere.txt is missing; splits in that directory"),
        ({"regions": None}, "^regions: model shallow_two_stream sees image regions"),
        ({"regions": "nowhere"}, "nowhere: cannot be read: No such file"),
        ({"gold_labels": "nowhere"}, "nowhere is missing; expected a class or null"),
        ({"class_names": "nowhere"}, "nowhere: not a readable list of classes"),
        ({"model": "nowhere"}, "nowhere: does not exist"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_said_before_parameters_are_read(
    workshop, monkeypatch, argument, message
):
    monkeypatch.setattr("xabl.models.model_directory.load", pytest.fail)
    given = {"entities": golden_world.ENTITIES, "regions": workshop.regions(STORE)}
    given |= {"model": workshop.small_model("two-stream")} | argument
    with pytest.raises(xabl.UserError, match=message):
        xabl.ablate(**given)


def test_a_vocabulary_is_looked_at_before_parameters_are_read(workshop, monkeypatch):
    monkeypatch.setattr("xabl.models.model_directory.load", pytest.fail)
    with pytest.raises(xabl.UserError, match="nowhere is missing"):
        xabl.load(workshop.small_model("two-stream"), vocabulary="nowhere")
    with pytest.raises(xabl.UserError, match="nowhere: does not exist"):
        xabl.load("nowhere")
