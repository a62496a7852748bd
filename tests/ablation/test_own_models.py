"""Functions of one's own, at both levels: the same numbers and care as for ours."""

import json

import jax
import numpy as np
import pandas as pd
import pytest

import xabl
from tests.helpers import ablation, golden_world
from tests.helpers.own_models import RegionsOfAnything
from xabl import results
from xabl.ablation.any_model import flax_model
from xabl.analysis import effects
from xabl.analysis.answer import verdict
from xabl.analysis.asymmetry import asymmetry
from xabl.analysis.study import load_study
from xabl.data.regions.description import evenly
from xabl.results.conditions import Direction, all_conditions

TOLERANCE = 5e-6  # nats
# By pieces of word pieces other captions differ from those by words.
WAYS_OF_BOTH = ["zero", "other_image", "drop"]
FEW = 34  # examples, with one of which nothing is left after 38 pieces
PIECES = ablation.word_pieces().size
LOSSES = ["mlm", "mrc_kl", "mrc_xe", "mrc_xe_corrected"]


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What both functions take, of the golden world."""
    regions = golden_world.write_regions(tmp_path_factory.mktemp("regions"), "lmdb")
    return {
        "entities": golden_world.ENTITIES,
        "regions": regions,
        "thresholds": [0.5],
        "hides": "as ours",
    }


@pytest.fixture(scope="module")
def uniter():
    """One of our models as a function from words and regions, and the engine's scores.

    Of examples some of which are cut off after 38 pieces.
    """
    config = ablation.shallow("uniter")
    params = ablation.ruled_params(config)
    scores = ablation.scored(
        config,
        params,
        conditions=all_conditions(list(Direction), [0.5], WAYS_OF_BOTH),
        of=tuple(ablation.examples()[row] for row in evenly(80, FEW)),
    )
    assert np.isnan(scores.loss("mlm")[:, 0]).any()
    return flax_model(config, params), scores


def of_words(asked):
    """Answers to words alone; the probability of a word falls with its length."""
    return [
        None
        if one.direction is Direction.LANG4VIS
        else [
            -0.1 * (end - start) for start, end in one.spans[one.asked_words].tolist()
        ]
        for one in asked
    ]


def assert_scores(found, scores):
    """A frame like scores.parquet against the engine's losses."""
    for name in LOSSES:
        expected = scores.loss(name)
        for column, condition in enumerate(scores.plan.conditions):
            rows = found[found["condition"] == condition.name]
            rows = rows[rows["direction"] == condition.direction.value]
            values = rows[name].to_numpy(dtype=float)
            np.testing.assert_allclose(
                values, expected[:, column], atol=TOLERANCE, rtol=0, err_msg=name
            )


def asked(uniter, data, **options):
    options |= {"label": "UNITER", "vocabulary": golden_world.VOCABULARY}
    return xabl.ablate_function(uniter[0], save_predictions=2, **data | options)


@pytest.fixture(scope="module")
def as_function(data, uniter):
    return asked(uniter, data, limit=FEW, replace=WAYS_OF_BOTH)


def test_predictions_of_classes_alone_are_kept(data, uniter):
    top = asked(uniter, data, limit=4, directions=["lang4vis"]).predictions()
    assert set(top["direction"]) == {"lang4vis"} and set(top["rank"]) == {1, 2}


def test_our_model_as_a_function_of_words_and_regions(uniter, as_function):
    _, scores = uniter
    frame = as_function.frame()
    assert_scores(frame, scores)
    assert frame["predicted"].notna().sum() == scores.plan.num_scored
    top = as_function.predictions()
    assert set(top["rank"]) == {1, 2} and top["probability"].between(0, 1).all()


def test_our_model_told_what_an_ablation_is(data, uniter, as_function):
    """Its answers are made by turning that back into word pieces and regions."""
    model, scores = uniter
    reader = RegionsOfAnything(model)
    found = xabl.ablate_anything(
        reader, label="UNITER", limit=FEW, replace=WAYS_OF_BOTH, **data
    )
    assert_scores(found.frame(), scores)
    # Its own tokens are word pieces: a word may have several, and costs their sum.
    expected = by_word(as_function)
    assert expected["loss"]["count"].max() > 1
    np.testing.assert_allclose(by_word(found), expected, atol=2 * TOLERANCE, rtol=0)
    pieces = {e.number: len(e.pieces) for e in ablation.examples()}
    scored = found.frame().query("direction == 'vis4lang' and excluded.isna()")
    assert (scored["target_pieces"] == scored["example"].map(pieces)).all()
    # What engine and plan compute once this model is asked once.
    assert len(reader.asked) == len(set(reader.asked)) < scores.plan.num_scored


def by_word(found):
    """Number of tokens and sum of their losses, of every word under every condition."""
    words = found.words()
    key = ["condition", "example", "word", "start", "end", "word_class"]
    return words.groupby(key)[["loss"]].agg(["count", "sum"])


def test_the_manifest_says_what_a_model_is(data, tmp_path):
    def model(asked):
        return [answer and [[-0.5, -1.5]] * len(answer) for answer in of_words(asked)]

    about = {"checkpoint": "mine.safetensors"}
    found = xabl.ablate_anything(
        model, label="Mine", about=about, output=tmp_path / "results", **data
    )
    manifest = json.loads((tmp_path / "results" / "manifest.json").read_text())
    said = manifest["model"]
    assert said["reads"] == "anything" and said["hides"] == "as ours"
    assert said["about"] == about
    assert said["cannot"] == ["lang4vis none", "lang4vis phrase", "lang4vis all"]
    tokens = said["tokens"]
    assert tokens["own_tokens"] == 2 * tokens["words"] > 0
    assert "vocab_sha256" not in manifest["data"]  # comparable with any vocabulary
    assert manifest["directions"] == ["vis4lang"]
    assert results.check(tmp_path / "results") == ()
    frame = found.frame()
    assert set(frame["direction"]) == {"vis4lang"}
    np.testing.assert_allclose(frame["mlm"], 1.0)
    assert frame["target_pieces"].min() >= 2


def test_it_stands_beside_ours(data, as_function, tmp_path):
    """What it cannot be asked is missing, and nothing else of the study is."""
    as_function.save(tmp_path / "ours")
    xabl.ablate_anything(
        of_words, label="Mine", limit=FEW, output=tmp_path / "theirs", **data
    )
    study = load_study(tmp_path)
    gap = study.model("Mine").cell("mrc_kl", "all")
    assert gap.bits is None and gap.gap == "no lang4vis in this run"
    assert study.model("UNITER").cell("mrc_kl", "all").bits is not None
    notes = "\n".join(study.notes)
    assert "Mine: the model cannot be asked: lang4vis none, lang4vis phrase" in notes
    assert "Mine: it hides what is removed in its own way: as ours" in notes
    assert "(1.00 for each word)" in notes and "not comparable between" in notes
    bootstrap = effects.bootstrap_of(study, 50, 0)
    found = asymmetry(study, bootstrap)
    mine, ours = (found[found["model"] == name] for name in ("Mine", "UNITER"))
    assert mine["gap"].tolist() == [gap.gap] and mine["bits"].isna().all()
    assert ours["bits"].notna().any()
    said = verdict(found, effects.differences(study, bootstrap))
    assert "Vision for language: no verdict on UNITER and Mine (" in said
    assert "Language for vision: no verdict on UNITER (5 images: too few" in said
    assert said.endswith("not asked of Mine.")


def test_what_a_model_cannot_be_asked_is_missing(data):
    """Some examples: excluded with the reason, and not a loss of 0."""

    def model(asked):
        return [
            None if "man" in one.words else answer
            for one, answer in zip(asked, of_words(asked), strict=True)
        ]

    frame = xabl.ablate_anything(model, label="Mine", **data).frame()
    sentences = [example.sentence.split(" ") for example in ablation.examples()]
    silent = frame["example"].map(lambda number: "man" in sentences[number])
    assert 0 < silent.sum() < len(frame)
    assert set(frame["excluded"][silent]) == {"not answered by the model"}
    assert frame["mlm"][silent].isna().all() and frame["mlm"][~silent].notna().all()


def test_an_interrupted_run_goes_on_where_it_was(data, tmp_path):
    output, asked_of = tmp_path / "results", []

    def answers(asked):
        asked_of.extend(asked)
        if len(asked_of) > 60 and is_first:
            raise KeyboardInterrupt
        return of_words(asked)

    is_first = True
    given = data | {"label": "Mine", "output": output, "directions": ["vis4lang"]}
    with pytest.raises(KeyboardInterrupt):
        xabl.ablate_anything(answers, batch_size=7, **given)
    assert not output.exists()
    with pytest.raises(xabl.UserError, match="interrupted run's scores are kept"):
        xabl.ablate_anything(answers, **given)
    with pytest.raises(xabl.UserError, match="scores of another run.*about"):
        xabl.ablate_anything(answers, resume=True, about={"step": 2}, **given)
    is_first, before = False, len(asked_of)
    found = xabl.ablate_anything(answers, batch_size=5, resume=True, **given)
    whole = xabl.ablate_anything(of_words, **given | {"output": None})
    pd.testing.assert_frame_equal(found.frame(), whole.frame())
    inputs = json.loads((output / "manifest.json").read_text())["distinct"]
    # The step that was interrupted is the only one that is done twice.
    assert len(asked_of) == inputs + 7 and before == 63
    again = xabl.ablate_anything(answers, resume=True, **given)
    assert len(asked_of) == inputs + 7
    pd.testing.assert_frame_equal(again.frame(), found.frame())


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda one: [], "expected for each of the"),
        (lambda one: 3.0, "expected for each of the"),
        (lambda one: [0.5] * len(one.words), "expected for each of the"),
        (lambda one: [0.5] * one.asked_words.sum(), "0.5, which is no log-probability"),
        (lambda one: [np.nan] * one.asked_words.sum(), "nan, which is no log"),
    ],
)
def test_answers_that_are_none(data, answer, message):
    with pytest.raises(xabl.UserError, match=f"example .*phrase.*{message}"):
        xabl.ablate_anything(
            lambda asked: [answer(one) for one in asked],
            label="Mine",
            **data | {"directions": ["vis4lang"]},
        )


@pytest.mark.parametrize(
    "answer, message",
    [
        (np.zeros(1600), r"shape \(1600,\); expected.*1601"),
        (np.zeros(1601), "probabilities the model said add up to 1601"),
        ("person", "expected the log-probabilities"),
    ],
)
def test_classes_that_are_none(data, answer, message):
    with pytest.raises(xabl.UserError, match=f"lang4vis none: .*{message}"):
        xabl.ablate_anything(
            lambda asked: [answer] * len(asked),
            label="Mine",
            **data | {"directions": ["lang4vis"]},
        )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": "/nowhere"}, "^images: /nowhere: no such folder"),
        ({"images": "."}, "images are not there .first: .*jpg"),
        ({"target": "1"}, "target='1': give 0 or 3 or 6"),
        ({"batch_size": 0}, "batch_size is 0, at least 1 is needed"),
        ({"resume": True}, "resume=True .* give output="),
        ({"about": {"model": object()}}, "about: not what JSON can hold"),
        ({"directions": ["up"]}, "'up' is not vis4lang or lang4vis"),
        ({"model": lambda asked: []}, "gave 0 answers to"),
        ({"model": lambda asked: [None] * len(asked)}, "every answer was None"),
        ({"model": lambda asked: None}, "returned NoneType; expected a list with an"),
        ({"model": lambda: []}, "is called with ablations, but takes others"),
        ({"model": 3}, "model=3: expected a function"),
        ({"label": None}, "label=None: expected text"),
        ({"thresholds": 0.5}, r"thresholds=0.5: give a list: thresholds=\[0.5\]"),
        ({"limit": 2.5}, "limit=2.5: expected a whole number or None"),
        ({"limit": 0}, "^limit=0: give the number of examples"),
        ({"epochs": 3}, "ablate_anything has no argument epochs="),
        ({"gold_labels": "x"}, "ablate_anything has no argument gold_labels="),
        ({"treshold": 3}, "no argument treshold=; did you mean thresholds?"),
        ({"regions": golden_world.ENTITIES}, "swapped with entities=?"),
    ],
)
def test_arguments_that_are_wrong(data, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    given = {"model": of_words, "label": "Mine", **data} | change
    with pytest.raises(xabl.UserError, match=message):
        xabl.ablate_anything(given.pop("model"), **given)


@pytest.mark.parametrize(
    "words, regions, message",
    [
        ((16, 37, 300), (16, 36, 1601), r"logits of words of shape \(16, 37, 300\)"),
        ((16, 38, 9), (16, 36, 1601), "logits of 9 word pieces, its vocabulary has"),
        ((16, 38, 30522), (16, 36, 1601), "logits of 30522 word pieces"),
        (None, (16, 36, 1601), "no logits of words"),
        ((16, 38, PIECES), (16, 36, 1600), "logits of 1600 classes"),
        ((16, 38, PIECES), None, "no logits of regions"),
    ],
)
def test_logits_that_are_wrong(data, words, regions, message):
    def model(seen, image):
        def array(shape):
            return None if shape is None else np.zeros(shape, np.float32)

        return xabl.Logits(words=array(words), regions=array(regions))

    with pytest.raises(xabl.UserError, match=message):
        xabl.ablate_function(
            model, label="Mine", vocabulary=golden_world.VOCABULARY, **data
        )


def test_logits_that_are_not_finite(data):
    def model(words, regions):
        shape = (*words.token_ids.shape, ablation.word_pieces().size)
        return xabl.Logits(words=np.full(shape, np.nan, np.float32), regions=None)

    with pytest.raises(xabl.UserError, match="vis4lang none: the loss is nan"):
        xabl.ablate_function(
            model, label="Mine", vocabulary=golden_world.VOCABULARY, **data
        )


def test_what_is_no_logits(data):
    for answer in (np.zeros((16, 38, PIECES)), {"words": 1}, None):
        with pytest.raises(xabl.UserError, match="return xabl.Logits.words=..., regi"):
            xabl.ablate_function(
                lambda words, regions, answer=answer: answer,
                label="Mine",
                vocabulary=golden_world.VOCABULARY,
                **data,
            )


def test_arguments_that_are_missing():
    for function, names in (
        (xabl.ablate_function, "vocabulary=, entities=, label=, hides="),
        (xabl.ablate_anything, "entities=, label=, hides="),
    ):
        with pytest.raises(xabl.UserError, match=f"{function.__name__} needs {names}$"):
            function(of_words)


def test_what_a_model_is_told(data, tmp_path):
    """Where words stand, what is hidden, what is asked for, and what stands in."""
    seen = []

    def model(asked):
        seen.extend(asked)
        return of_words(asked)

    sizes = {e.image_id: (e.img_w, e.img_h) for e in ablation.examples()}
    for image_id in sizes:
        (tmp_path / f"{image_id}.jpg").touch()
    ways = ["other_image", "other_caption"]
    xabl.ablate_anything(model, label="Mine", images=tmp_path, replace=ways, **data)
    written = {word for one in seen for word in one.words}
    for one in seen:
        assert (one.width, one.height) == sizes[one.image_id]
        assert one.image == tmp_path / f"{one.image_id}.jpg"
        words = [one.caption[start:end] for start, end in one.spans]
        assert words == one.words
        if one.direction is Direction.VIS4LANG:
            assert (one.hidden_words == one.asked_words).all() and one.asked_words.any()
        else:
            assert one.hidden_boxes[one.asked_region] and not one.asked_words.any()
        if one.way == "other_image":
            assert one.donor in sizes.keys() - {one.image_id}
            assert one.donor_image == tmp_path / f"{one.donor}.jpg"
        else:
            assert one.donor is one.donor_image is None
        if one.way == "other_caption":
            assert len(one.words_instead) == one.hidden_words.sum() > 0
            assert written.issuperset(one.words_instead)
        else:
            assert one.words_instead == ()
    assert {one.way for one in seen} == {"average", "mask", *ways}
    assert {len(np.unique(one.hidden_boxes)) for one in seen} == {1, 2}
