"""Results of any program: written, checked, read; names and order from one place."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.fake_results import (
    SCHEMA,
    FakeModel,
    paper_models,
    write_results,
)
from xabl import analysis, results
from xabl.analysis.figures import write_figures
from xabl.analysis.report import ReportOptions, write_report
from xabl.errors import UserError
from xabl.inspection import inspect_path
from xabl.results.conditions import (
    THRESHOLDS,
    Condition,
    Direction,
    Level,
    all_conditions,
    in_order,
    main_conditions,
)
from xabl.results.format import EXAMPLES, PREDICTIONS, SCORES
from xabl.results.losses import BY_WORD, LOSSES, STORED, columns_of, main_loss
from xabl.results.published import PUBLISHED
from xabl.results.reading import read


def frame(num_examples=12, conditions=("none", "object@0.5", "all")) -> pd.DataFrame:
    """Scores as another program might have them: what is needed and nothing else."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "example": example,
            "image_id": f"picture {example // 3}",
            "phrase": ("a dog", "two men in hats", "grass")[example % 3],
            "phrase_type": ("animals", "people", "scene")[example % 3],
            "direction": "vis4lang",
            "condition": condition,
            "mlm": 3.0 + place + rng.normal() / 10,
        }
        for place, condition in enumerate(conditions)
        for example in range(num_examples)
    ]
    return pd.DataFrame(rows)


def test_names_and_their_conditions():
    for condition in all_conditions(list(Direction)):
        assert Condition.parse(condition.direction, condition.name) == condition
    for condition in all_conditions([Direction.VIS4LANG], [1e-05, 1e-300]):
        assert Condition.parse(condition.direction, condition.name) == condition
    names = [c.name for c in all_conditions([Direction.VIS4LANG])]
    objects = [f"object@{t}" for t in reversed(THRESHOLDS)]
    assert names == ["none", *objects, "all"]
    for shuffled in itertools.islice(itertools.permutations(names), 0, 5000, 999):
        assert in_order("vis4lang", shuffled) == tuple(names)
    assert main_conditions("vis4lang", names) == ("none", "object@0.5", "all")
    assert main_conditions("lang4vis") == ("none", "phrase", "all")


@pytest.mark.parametrize(
    ("direction", "name"),
    [
        ("vis4lang", "swapped"),
        ("vis4lang", "object"),
        ("vis4lang", "object@0.50"),
        ("vis4lang", "object@1e-5"),
        ("vis4lang", "object@e-"),
        ("vis4lang", "phrase"),
        ("vis4lang", "all/average"),
        ("vis4lang", "all/other"),
        ("lang4vis", "object@0.5"),
        ("neither", "none"),
        ("vis4lang", ""),
    ],
)
def test_names_of_no_condition(direction, name):
    with pytest.raises(UserError, match="not a condition this version knows"):
        Condition.parse(direction, name)


def test_what_a_condition_hides():
    vision = {c.name: c for c in all_conditions([Direction.VIS4LANG], [0.3])}
    overlaps = np.array([0.0, 0.3, 0.31, 1.0])
    for name, hidden in (("none", 0), ("object@0.3", 2), ("all", 4)):
        assert (overlaps > vision[name].region_threshold).sum() == hidden
        assert vision[name].hidden_words is Level.PHRASE  # they are predicted
    for condition in all_conditions([Direction.LANG4VIS]):
        assert condition.region_threshold is None
        assert condition.hidden_words is condition.level


def test_losses_are_those_of_the_file_and_of_the_published_rows():
    columns = [c.name for c in SCORES.columns if c.name in LOSSES]
    assert columns == list(STORED) == [n for n in LOSSES if n != BY_WORD]
    assert sorted(itertools.chain(*map(columns_of, Direction))) == sorted(LOSSES)
    for row in PUBLISHED.values():
        for loss, condition in row.bits:
            Condition.parse(LOSSES[loss].direction, condition)
    assert main_loss("lang4vis", ["mrc_kl", "mrc_kl_aligned"]) == "mrc_kl_aligned"
    assert main_loss("vis4lang", ["mlm"]) == "mlm"
    assert main_loss("vis4lang", ["mlm", BY_WORD]) == BY_WORD
    # It answers where there is no divergence; as published it answers nothing.
    xe = ["mrc_xe", "mrc_xe_corrected"]
    assert main_loss("lang4vis", xe) == "mrc_xe_corrected"
    assert main_loss("lang4vis", [*xe, "mrc_kl"]) == "mrc_kl"
    assert main_loss("lang4vis", ["mrc_xe"]) is None
    assert main_loss("lang4vis", ["mlm"]) is None


def test_every_column_says_what_it_is():
    for file in (SCORES, EXAMPLES, PREDICTIONS):
        assert all(column.meaning for column in file.columns)
    assert SCORES.schema == SCHEMA


@pytest.mark.parametrize("kind", ["pandas", "arrow", "dict"])
def test_a_frame_of_any_kind_becomes_a_directory(tmp_path, kind):
    scores = frame()
    given = {
        "pandas": scores.astype({"condition": "category"}),
        "arrow": pa.Table.from_pandas(scores),
        "dict": {name: scores[name].tolist() for name in scores},
    }[kind]
    path = results.write(given, tmp_path / "mine", label="Mine", seed=3, split="val")
    assert results.check(path) == ()
    run = results.read(path)
    assert (run.title, run.conditions("vis4lang")) == (
        "Mine, seed 3",
        ("none", "object@0.5", "all"),
    )
    bits = run.cell("mlm", "all").bits
    wanted = scores[scores["condition"] == "all"]["mlm"] / math.log(2)
    np.testing.assert_allclose(bits, wanted, rtol=1e-6)
    assert run.cell("mrc_kl", "all").gap == "no lang4vis in this run"
    summary = pd.read_csv(path / "summary.tsv", sep="\t", keep_default_na=False)
    assert summary["Mask"].tolist() == ["None", "0.5", "All"]
    assert float(summary["MLM"][2]) == pytest.approx(wanted.mean())


def test_bits_are_kept_as_nats(tmp_path):
    path = results.write(frame(), tmp_path / "mine", label="Mine", unit="bits")
    np.testing.assert_allclose(
        results.read(path).cell("mlm", "none").bits, frame()["mlm"][:12], rtol=1e-6
    )
    with pytest.raises(UserError, match="unit 'bytes': expected nats or bits"):
        results.write(frame(), tmp_path / "other", label="Mine", unit="bytes")
    with pytest.raises(UserError, match="model.seed is 1000.*, expected a whole numb"):
        results.write(frame(), tmp_path / "other", label="Mine", seed=10**30)
    with pytest.raises(UserError, match=r"label is 'a\\tb': a name is one line"):
        results.write(frame(), tmp_path / "other", label="a\tb")
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("undrawn")
def test_analysis_and_report_take_what_another_program_wrote(tmp_path):
    path = results.write(frame(90), tmp_path / "results" / "mine", label="Mine")
    study = analysis.load_study(tmp_path / "results")
    table = analysis.effects.means(study, analysis.effects.bootstrap_of(study, 100))
    assert table["condition"].tolist() == ["none", "object@0.5", "all"]
    text = write_figures(path, tmp_path / "figures", resamples=100)
    assert text.startswith("2 figures written")
    said = write_report(path, tmp_path / "report.html", ReportOptions(resamples=100))
    assert "1 model, 90 of 90 examples to browse" in said
    page = (tmp_path / "report.html").read_text()
    assert "Mine (1 seed): Removing all image regions raises the MLM loss" in page


def test_results_of_ours_and_of_another_program_are_compared(tmp_path):
    ours = write_results(tmp_path / "ours", FakeModel(thresholds=(0.5,)))
    scores = pq.read_table(ours / "scores.parquet").to_pandas()
    scores = scores[scores["direction"] == "vis4lang"].assign(mlm=lambda t: t.mlm + 1)
    results.write(scores, tmp_path / "theirs", label="Theirs")
    study = analysis.load_study(tmp_path)
    pairs = analysis.comparisons.compare_models(
        study, analysis.effects.bootstrap_of(study, 100)
    )
    loss = pairs[pairs["quantity"] == "loss"]["difference"]
    np.testing.assert_allclose(loss.abs(), 1 / math.log(2), rtol=1e-5)


def wrong(change):
    """A frame with one thing wrong."""
    scores = frame()
    found = change(scores)
    return scores if found is None else found


WRONG = [
    (lambda t: t.drop(columns="phrase_type"), r"no column phrase_type \(first type"),
    (lambda t: t.drop(columns="mlm"), "no column with a loss"),
    (lambda t: t.assign(mlm="low"), "column mlm: is .*string, expected float"),
    (lambda t: t.assign(example=t.example + 0.5), "scores.parquet: not written"),
    (lambda t: t.assign(mlm=-t.mlm), "36 values out of range .* at least 0: MLM in"),
    (lambda t: t.assign(mlm=np.inf), "36 values are not finite"),
    (lambda t: t.assign(gold_probability=1.2), "expected at least 0, at most 1"),
    (lambda t: t.assign(condition="swapped"), "vis4lang swapped: not a condition"),
    (lambda t: t.assign(direction="both"), "both none: not a condition"),
    (lambda t: t[:-1], "vis4lang all: 1 examples have no row .first: example 11"),
    (lambda t: pd.concat([t, t[:1]]), "none: example 0 has more than one row"),
    (lambda t: t.assign(mrc_kl=1.0), "column mrc_kl: has values under vis4lang none"),
    (lambda t: t.assign(excluded="why not"), "a loss, and a reason why there is none"),
    (
        lambda t: t.assign(mlm=[np.nan, *t.mlm[1:]]),
        "1 rows have neither a loss nor a reason .* example 0",
    ),
    (
        lambda t: t.assign(phrase=["a cat", *t.phrase[1:]]),
        "column phrase: differs between rows of example 0",
    ),
    (
        lambda t: t.assign(image_id=[None, *t.image_id[1:]]),
        "column image_id: 1 rows are empty",
    ),
    (
        lambda t: t.assign(
            image_id=[("7", "8", "007", "9")[e // 3] for e in t.example]
        ),
        "column image_id: '7' and '007' are both image 7",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_wrong_is_named_and_nothing_written(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        results.write(wrong(change), tmp_path / "mine", label="Mine")
    assert list(tmp_path.iterdir()) == []


def test_a_check_of_our_results_finds_what_was_changed(tmp_path):
    path = write_results(tmp_path / "run", FakeModel(), predictions=2)
    assert results.check(path) == ()
    assert inspect_path(path).kind == "results of an ablation"
    assert inspect_path(path).problems == ()
    table = pq.read_table(path / "scores.parquet").to_pandas()
    table.loc[table["condition"] == "object@0.3", "condition"] = "swapped"
    table["mlm"] *= -1
    pq.write_table(pa.Table.from_pandas(table, SCHEMA), path / "scores.parquet")
    (path / "examples.parquet").unlink()
    predictions = pq.read_table(path / "predictions.parquet").to_pandas()
    predictions["rank"] -= 1
    predictions.to_parquet(path / "predictions.parquet")
    problems = "\n".join(results.check(path))
    for part in (
        "scores.parquet: vis4lang swapped: not a condition this version knows",
        "scores.parquet: column mlm:",
        "no examples.parquet",
        "predictions.parquet: column rank:",
    ):
        assert part in problems
    assert inspect_path(path).problems == results.check(path)
    # Read all the same: what is not known is left out, and both are said.
    study = analysis.load_study(path)
    assert "swapped" not in study.conditions("vis4lang")
    assert any("left out: vis4lang swapped" in note for note in study.notes)
    assert any("column mlm: " in note for note in study.notes)


def test_examples_of_other_images_than_the_scores_are_found(tmp_path):
    path = write_results(tmp_path / "run", FakeModel())
    table = pq.read_table(path / "examples.parquet").to_pandas()
    image = table.loc[1, "image_id"]
    table.loc[1, "image_id"] = f"0{image}"
    table.to_parquet(path / "examples.parquet")
    said = f"column image_id: example 1 is of image '0{image}', in scores.parquet of"
    assert any(f"{said} '{image}'" in problem for problem in results.check(path))


def test_a_folder_that_is_taken_is_not_replaced_unasked(tmp_path):
    results.write(frame(), tmp_path / "mine", label="Mine")
    with pytest.raises(UserError, match="holds results already"):
        results.write(frame(), tmp_path / "mine", label="Again")
    results.write(frame(), tmp_path / "mine", label="Again", overwrite=True)
    assert results.read(tmp_path / "mine").label == "Again"


def test_what_is_excluded_has_no_loss_whoever_wrote_it(tmp_path):
    path = results.write(frame(), tmp_path / "mine", label="Mine")
    table = pq.read_table(path / "scores.parquet").to_pandas()
    table.loc[table["example"] == 3, "excluded"] = "cut off"
    pq.write_table(pa.Table.from_pandas(table, SCHEMA), path / "scores.parquet")
    bits = results.read(path).cell("mlm", "none").bits
    assert np.flatnonzero(np.isnan(bits)).tolist() == [3]


@pytest.mark.usefixtures("undrawn")
def test_frames_of_arrow_may_hold_nan_and_predictions_are_of_examples(tmp_path):
    scores = frame()
    excluded = scores["example"] == 3
    scores.loc[excluded, "mlm"] = np.nan
    columns = {name: scores[name].tolist() for name in scores}
    columns["excluded"] = ["cut off" if e else None for e in excluded]

    def write(example):
        guess = {
            "example": [example],
            "direction": ["vis4lang"],
            "condition": ["none"],
            "position": [0],
            "rank": [1],
            "prediction": ["dog"],
            "probability": [0.5],
        }
        return results.write(
            pa.table(columns),
            tmp_path / "mine",
            label="Mine",
            predictions=guess,
            model={"config": "of another kind"},
        )

    with pytest.raises(UserError, match="predictions.parquet: 1 examples have no"):
        write(12)
    path = write(11)
    assert results.check(path) == ()
    write_report(path, tmp_path / "report.html", ReportOptions(resamples=100))


@pytest.mark.parametrize(
    ("part", "value", "problem"),
    [
        ("label", 3, "model.label is 3, expected a text"),
        ("seed", [1], "model.seed is [1], expected a whole number or null"),
        ("seed", True, "model.seed is True, expected a whole number or null"),
        ("seed", 2**63, "model.seed is 9223372036854775808, expected a whole number"),
        ("params_sha256", {}, "model.params_sha256 is {}, expected a text or null"),
    ],
)
def test_a_manifest_of_other_types_is_refused(tmp_path, part, value, problem):
    folder = write_results(tmp_path / "a", paper_models()[0], num_images=2)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["model"][part] = value
    manifest["yardsticks"] = {"mlm": {"unigram": "x"}, "luck": {}}
    manifest["thresholds"] = [0.5, "x"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError) as error:
        read(folder)
    said = str(error.value)
    assert said.startswith(f"{path}: ") and problem in said
    for more in (
        "yardsticks.mlm.unigram is 'x', expected a number",
        "yardsticks.mlm.warning is missing",
        "'luck' is no loss",
        "thresholds are [0.5, 'x'], expected numbers",
    ):
        assert more in said
