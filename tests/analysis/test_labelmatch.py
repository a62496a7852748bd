"""LabelMatch: the rule's edges, categories, confusion, tables and the binary."""

import json
import types

import numpy as np
import pandas as pd
import pytest

from tests.helpers.fake_results import (
    NOUNS,
    VOCABULARY,
    FakeModel,
    write_results,
    write_study,
)
from xabl import analysis
from xabl.analysis.labelmatch import make_gold_labels, nouns, tables
from xabl.analysis.labelmatch.confusion import (
    categories,
    confusion,
)
from xabl.analysis.labelmatch.gold_labels import (
    gold_classes,
    read_class_names,
    read_nouns,
)
from xabl.analysis.labelmatch.tables import subsets
from xabl.errors import UserError
from xabl.results.published import CATEGORIES
from xabl.synthetic.world.confusion import GOLD_TOTALS, MISMATCHES

CLASS_NAMES = "__background__\nman\nstop sign,stopsign\nsign\ntv,man\nteddy bear\n"
TOTALS = np.array([GOLD_TOTALS[name] for name in CATEGORIES])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["stop", "sign"], 2),
        (["stopsign"], 2),
        (["Stop", "Sign"], 2),  # lower-cased
        (["sign"], 3),  # not a part of "stop sign"
        (["sign", "stop"], None),  # order counts
        (["red", "sign"], None),  # the whole list, not its last word
        (["man"], None),  # two classes have that name
        (["tv"], 4),
        (["teddy"], None),
        (["bear", "teddy", "bear"], None),
        (["__background__"], None),
        ([], None),
    ],
)
def test_the_rule(tmp_path, words, expected):
    path = tmp_path / "classes.txt"
    path.write_text(CLASS_NAMES)
    assert gold_classes([words], read_class_names(path)) == [expected]


def test_categories_where_a_class_is_seen_as_two_types():
    seen = {
        1: ["people", "people"],
        2: ["clothing", "scene", "clothing"],
        3: ["scene", "other"],
        4: ["animals", "other"],
        5: ["bodyparts", "scene"],
        6: ["people", "other"],
    }
    gold = [label for label, types in seen.items() for _ in types] + [None]
    phrase_types = [name for types in seen.values() for name in types] + ["vehicles"]
    assert categories(gold, phrase_types, "intended") == {
        1: "people",
        2: "clothing",
        3: "other",
        4: "animals",
        5: "bodyparts",
        6: "people",
    }
    published = categories(gold, phrase_types, "published")
    assert published[2] == "scene" and published[4] == "other"
    assert {k: published[k] for k in (1, 3, 5, 6)} == {
        1: "people",
        3: "other",
        5: "bodyparts",
        6: "people",
    }
    with pytest.raises(UserError, match="expected intended or published"):
        categories(gold, phrase_types, "mine")


def published_examples():
    """Gold and silver classes with the published counts; a class a category and kind.

    Category c has gold class 10 c + 1; silver classes that do not match it are
    10 c + 2 (also somebody's gold class, so that its category is known).
    """
    gold, silver = [], []
    for row in range(7):
        for column in range(7):
            count = MISMATCHES[row, column]
            gold += [10 * row + 1] * count
            silver += [10 * column + 2] * count
        matches = TOTALS[row] - MISMATCHES[row].sum()
        gold += [10 * row + 1] * matches
        silver += [10 * row + 1] * matches
    # The one mismatch of another category, and an example without a gold class.
    gold += [71, np.nan]
    silver += [2, 1]
    names = dict(enumerate((*CATEGORIES, "instruments")))
    category_of = {10 * c + k: name for c, name in names.items() for k in (1, 2)}
    return np.array(gold, float), np.array(silver, float), category_of


def test_the_published_confusion_matrix():
    found = confusion(*published_examples(), names=CATEGORIES)
    np.testing.assert_array_equal(found.counts, MISMATCHES)
    np.testing.assert_array_equal(found.gold_totals, TOTALS)
    assert found.mismatches == 6292 and found.left_out == 1 and found.matches == 3867
    published = found.shares("published")
    diagonal = [0.29, 0.27, 0.22, 0.49, 0.50, 0.22, 0.39]
    np.testing.assert_allclose(np.diag(published), diagonal, atol=0.005)
    # Columns over their own category's gold total: 2314 + 147 ... of 4594 people.
    np.testing.assert_allclose(published[3, 4], 147 / 4594)
    corrected = found.shares("row")
    np.testing.assert_allclose(np.diag(corrected), np.diag(published))
    np.testing.assert_allclose(corrected[3, 4], 147 / 1828)
    matches = TOTALS - MISMATCHES.sum(axis=1)
    np.testing.assert_allclose(corrected.sum(axis=1) + matches / TOTALS, 1)
    table = found.table().set_index(["gold", "silver"])
    assert table.loc[("people", "scene"), "count"] == 82
    with pytest.raises(UserError, match="expected row or published"):
        found.shares("column")


def test_all_categories_and_nobodys_classes():
    gold, silver, category_of = published_examples()
    found = confusion(gold, silver, category_of)
    assert "instruments" in found.categories and found.left_out == 0
    assert found.mismatches == 6292
    found = confusion(np.array([1.0]), np.array([999.0]), {1: "people"})
    row, column = (found.categories.index(name) for name in ("people", "other"))
    assert found.counts[row, column] == 1


@pytest.fixture(scope="module")
def study_directory(tmp_path_factory):
    models = [FakeModel(), FakeModel(label="ViLBERT", name="ctrl_vilbert_base")]
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, models)
    return folder


def test_tables_of_the_subsets(study_directory):
    study = analysis.load_study(study_directory)
    frame = analysis.load(study_directory)
    frame = frame[(frame["model"] == "UNITER") & (frame["condition"] == "none")]
    frame = frame[(frame["direction"] == "lang4vis") & frame["gold_class"].notna()]
    agree = frame[frame["gold_class"] == frame["silver_class"]]
    use = subsets(study)
    assert use["LabelMatch"].sum() == len(frame)
    assert use["LabelMatch-agree"].sum() == len(agree) < len(frame)
    bootstrap = analysis.effects.bootstrap_of(study, resamples=100)
    table = tables.subset_means(study, bootstrap)
    rows = table.set_index(["model", "metric", "condition", "group"])
    for name, part in (("LabelMatch", frame), ("LabelMatch-agree", agree)):
        for metric in ("mrc_kl", "mrc_xe_vg"):
            row = rows.loc[("UNITER", metric, "none", name)]
            assert row["mean"] == pytest.approx(part[metric].mean(), rel=1e-5)
            assert row["n"] == len(part)
    counts = tables.agreement(study).set_index("phrase_type")
    assert counts.loc["all", "agree"] == len(agree)
    assert counts.loc["all", "phrases"] == frame["phrase"].nunique()
    assert counts.drop("all")["examples"].sum() == len(frame)
    ranks = tables.gold_ranks(study)
    ranks = ranks.set_index(["model", "condition", "group"])
    row = ranks.loc[("UNITER", "none", "LabelMatch")]
    assert row["mean_rank"] == pytest.approx(frame["gold_rank"].mean())
    assert row["top1"] == pytest.approx(len(agree) / len(frame))
    assert row["mean_probability"] == pytest.approx(frame["gold_probability"].mean())


def test_results_without_gold_labels_say_how_to_get_them(tmp_path):
    directory = write_results(tmp_path / "run", FakeModel(gold=False))
    with pytest.raises(UserError, match="xabl ablate with --gold_labels"):
        tables.write_tables(directory, tmp_path / "out")


def test_every_table_is_written_three_ways(study_directory, tmp_path):
    text = tables.write_tables(study_directory, tmp_path)
    assert "the detector agrees with" in text
    names = {path.stem for path in tmp_path.glob("*.csv")}
    assert "confusion_published_map" in names and len(names) == 6
    for name in names:
        parquet = pd.read_parquet(tmp_path / f"{name}.parquet")
        csv = pd.read_csv(tmp_path / f"{name}.csv")
        assert list(parquet.columns) == list(csv.columns) and len(parquet) == len(csv)
        tex = (tmp_path / f"{name}.tex").read_text()
        assert tex.count(r"\\") == len(csv) + 1


def test_gold_labels_from_files(tmp_path):
    words = [noun.split() for noun, _, _ in NOUNS]
    (tmp_path / "nouns.json").write_text(json.dumps(words))
    (tmp_path / "classes.txt").write_text("\n".join(VOCABULARY) + "\n")
    text = make_gold_labels(
        class_names=tmp_path / "classes.txt",
        output=tmp_path / "gold.json",
        nouns=tmp_path / "nouns.json",
    )
    assert text.startswith("9 of 10 examples name one of the detector's classes")
    gold = json.loads((tmp_path / "gold.json").read_text())
    assert gold == [label for _, _, label in NOUNS]
    (tmp_path / "classes.txt").write_text("__background__\nunicorn\n")
    with pytest.raises(UserError, match="none of 10 examples has a noun that is one"):
        make_gold_labels(
            class_names=tmp_path / "classes.txt",
            output=tmp_path / "other.json",
            nouns=tmp_path / "nouns.json",
        )
    assert not (tmp_path / "other.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ('{"a": 1}', "a list was expected"),
        ('[["man"], "man"]', "entry 1 is 'man'"),
        ("[[3]]", "entry 0"),
    ],
)
def test_files_of_nouns_that_are_none(tmp_path, content, message):
    path = tmp_path / "nouns.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_nouns(path)


def test_class_names_that_are_none(tmp_path):
    with pytest.raises(UserError, match="not a readable list of classes"):
        read_class_names(tmp_path / "none.txt")
    (tmp_path / "short.txt").write_text("__background__\n")
    with pytest.raises(UserError, match="expected one class per line"):
        read_class_names(tmp_path / "short.txt")


def test_the_detectors_release_leaves_the_background_out(tmp_path):
    names = [f"name {number}" for number in range(1, 1601)]
    (tmp_path / "without.txt").write_text("\n".join(names) + "\n")
    (tmp_path / "with.txt").write_text("\n".join(["__background__", *names]))
    marked = "\ufeff" + "\r\n".join(["__background__", *names, ""])
    (tmp_path / "marked.txt").write_text(marked, newline="")
    without, with_it, with_mark = (
        read_class_names(tmp_path / f"{name}.txt")
        for name in ("without", "with", "marked")
    )
    assert without == with_it == with_mark
    assert gold_classes([["name", "1600"]], without) == [1600]


def test_an_empty_line_would_count_as_a_class(tmp_path):
    (tmp_path / "a.txt").write_text("__background__\nman\n\ndog\n")
    with pytest.raises(UserError, match=r"a\.txt, line 3: empty"):
        read_class_names(tmp_path / "a.txt")


def mention(caption, first_word, num_words):
    phrase = types.SimpleNamespace(first_word=first_word, num_words=num_words)
    return types.SimpleNamespace(
        caption=types.SimpleNamespace(words=tuple(caption.split())), phrase=phrase
    )


def fake_tagger(captions):
    """Tags like the real one's interface: words it knows are nouns."""
    tags = {"man": "NOUN", "vest": "NOUN", "Bob": "PROPN"}
    sentences = [
        types.SimpleNamespace(
            words=[
                types.SimpleNamespace(text=word, upos=tags.get(word, "ADJ"))
                for word in caption
            ]
        )
        for caption in captions
    ]
    return types.SimpleNamespace(sentences=sentences)


def test_nouns_of_a_tagger():
    caption = "A man in an orange vest sees Bob"
    mentions = [mention(caption, 0, 2), mention(caption, 3, 3), mention(caption, 7, 1)]
    found = nouns.tag_nouns(mentions, fake_tagger)
    assert found == [("man",), ("vest",), ("Bob",)]

    def joins(captions):
        return fake_tagger([[*caption[:-2], "".join(caption)] for caption in captions])

    with pytest.raises(UserError, match="does not keep the captions' words"):
        nouns.tag_nouns(mentions, joins)


def test_a_tagger_that_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "stanza", None)
    with pytest.raises(UserError, match=r"pip install '\.\[tagger\]'"):
        nouns.stanza_tagger()
    broken = types.SimpleNamespace(Pipeline=lambda *a, **k: (1 / 0, None))
    monkeypatch.setitem(__import__("sys").modules, "stanza", broken)
    with pytest.raises(UserError, match="English model cannot be loaded"):
        nouns.stanza_tagger()


def test_neither_nouns_nor_captions(tmp_path):
    with pytest.raises(UserError, match="give --nouns=FILE"):
        make_gold_labels(class_names=tmp_path / "c", output=tmp_path / "o")
