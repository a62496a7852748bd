"""Reading results: what aligns, what is a gap, what is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.fake_results import (
    SCHEMA,
    FakeModel,
    text_only,
    write_results,
    write_study,
)
from xabl import analysis
from xabl.analysis import comparisons, effects
from xabl.analysis.report import ReportOptions, write_report
from xabl.errors import UserError
from xabl.results import read


def change_manifest(directory, **changes):
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    for key, value in changes.items():
        part = manifest["data"] if key in manifest["data"] else manifest
        part[key] = value
    path.write_text(json.dumps(manifest))


def change_scores(directory, change):
    path = directory / "scores.parquet"
    rows = pq.read_table(path).to_pylist()
    pq.write_table(pa.Table.from_pylist(change(rows), SCHEMA), path)


def test_scores_are_aligned_and_in_bits(tmp_path):
    directory = write_results(tmp_path / "run", FakeModel())
    change_scores(directory, lambda rows: rows[::-1])  # any order will do
    run = read(directory)
    rows = pq.read_table(directory / "scores.parquet").to_pylist()
    wanted = {
        row["example"]: row["mlm"]
        for row in rows
        if (row["direction"], row["condition"]) == ("vis4lang", "object@0.5")
    }
    bits = run.cell("mlm", "object@0.5").bits
    assert len(bits) == len(wanted) == len(run.example_ids)
    for example, value in zip(run.example_ids, bits, strict=True):
        np.testing.assert_allclose(value * np.log(2), wanted[example], rtol=1e-6)


def test_load_gives_one_frame_of_all_runs(tmp_path):
    models = [FakeModel(seed=seed) for seed in (0, 27)]
    models.append(FakeModel(label="text", name="bert_base", directions=("vis4lang",)))
    write_study(tmp_path, models, num_images=8)
    frame = analysis.load(tmp_path)
    assert list(frame.columns[:4]) == ["model", "seed", "example", "image_id"]
    assert set(frame["model"]) == {"UNITER", "text"}
    study = analysis.load_study([str(tmp_path)])
    assert len(frame) == study.num_examples * (15 * 2 + 1)
    ours = frame[
        (frame["model"] == "UNITER")
        & (frame["seed"] == 27)
        & (frame["direction"] == "lang4vis")
        & (frame["condition"] == "all")
    ]
    table = comparisons.run_means(study)
    row = table[
        (table["model"] == "UNITER")
        & (table["seed"] == 27)
        & (table["metric"] == "mrc_kl")
        & (table["condition"] == "all")
    ].iloc[0]
    assert ours["mrc_kl"].mean() == pytest.approx(row["mean"], rel=1e-5)


def test_runs_nobody_named_go_by_the_papers_names(tmp_path):
    write_results(tmp_path / "a", FakeModel(label="ctrl_vilbert_base", name="x"))
    write_results(tmp_path / "b", FakeModel(label="ctrl_lxmert", name="ctrl_lxmert"))
    labels = {model.label for model in analysis.load_study(tmp_path).models}
    assert labels == {"ctrl_vilbert_base", "LXMERT"}


def test_a_missing_seed_is_a_marked_gap(tmp_path):
    models = [FakeModel(label=label, seed=s) for label in "AB" for s in (0, 27)]
    directories = write_study(tmp_path, models + [FakeModel(label="A", seed=42)])
    study = analysis.load_study(directories)
    assert study.missing_seeds() == {"B": (42,)}
    assert "B: no results for seed 42" in study.notes
    table = comparisons.seeds(study).set_index(["model", "metric", "condition"])
    assert table.loc[("B", "mlm", "all"), "missing"] == "42"
    assert table.loc[("B", "mlm", "all"), "seeds"] == 2
    assert table.loc[("A", "mlm", "all"), "missing"] == ""
    # A run that was broken off counts as missing too, and is named.
    (directories[3] / "scores.parquet").unlink()
    study = analysis.load_study(tmp_path)
    assert study.missing_seeds() == {}  # B has one seed left: nothing to compare
    assert f"{directories[3]}: left out, the run has not finished" in study.notes
    with pytest.raises(UserError, match="has not finished"):
        analysis.load_study(directories)


def test_a_model_without_regions_to_predict_is_a_marked_gap(tmp_path):
    noviz = FakeModel(label="noviz", directions=("vis4lang",))
    study = analysis.load_study(write_study(tmp_path, [FakeModel(), noviz]))
    table = effects.differences(study, effects.bootstrap_of(study, resamples=100))
    rows = table[(table["model"] == "noviz") & (table["metric"] == "mrc_kl")]
    assert rows["difference"].isna().all()
    assert (rows["gap"] == "no lang4vis in this run").all()
    assert (rows["evidence"] == "not measured").all()
    rows = table[(table["model"] == "UNITER") & (table["metric"] == "mrc_kl")]
    assert rows["difference"].notna().all() and rows["gap"].isna().all()


def test_scores_that_are_not_numbers_are_a_marked_gap(tmp_path):
    models = [FakeModel(label="broken", nan_scores=3), FakeModel()]
    study = analysis.load_study(write_study(tmp_path, models))
    bootstrap = effects.bootstrap_of(study, resamples=100)
    table = effects.means(study, bootstrap).set_index(["model", "metric", "condition"])
    cell = table.loc[("broken", "mlm", "all")]
    assert np.isnan(cell["mean"])
    assert cell["gap"] == "3 scores are not finite (first: example 0)"
    assert not np.isnan(table.loc[("broken", "mlm", "object@0.5"), "mean"])
    assert not np.isnan(table.loc[("UNITER", "mlm", "all"), "mean"])
    assert any(
        note.startswith("broken, seed 73: 3 scores of MLM under all are not finite")
        for note in study.notes
    )


def test_excluded_examples_are_counted_and_leave_pairs(tmp_path):
    directory = write_results(tmp_path / "run", FakeModel(noise=0))

    def exclude(rows):
        for row in rows:
            if row["direction"] == "lang4vis" and row["condition"] == "all":
                if row["example"] in (2, 5):
                    row |= {"mrc_kl": None, "excluded": "phrase cut off"}
        return rows

    change_scores(directory, exclude)
    study = analysis.load_study(directory)
    bootstrap = effects.bootstrap_of(study, resamples=100)
    rows = effects.means(study, bootstrap, metrics=["mrc_kl"]).set_index("condition")
    assert rows.loc["all", "n"] == rows.loc["none", "n"] - 2 == study.num_examples - 2
    change = effects.differences(study, bootstrap, metrics=["mrc_kl"])
    change = change.set_index("condition")
    assert change.loc["all", "n"] == study.num_examples - 2
    # Paired: the two examples leave `none` as well, so the effect is the made-up one.
    assert change.loc["all", "difference"] == pytest.approx(0.02, abs=1e-6)
    runs = comparisons.run_means(study).set_index(["metric", "condition"])
    assert runs.loc[("mrc_kl", "all"), "excluded"] == 2
    assert any("up to 2 examples excluded (phrase cut off)" in n for n in study.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "test"}, "cannot be compared: split"),
        ({"entities_sha256": "x"}, "Flickr30k Entities files"),
        ({"limit": 10}, "--limit"),
    ],
)
def test_other_data_are_refused(tmp_path, changes, message):
    first, second = write_study(tmp_path, [FakeModel(), FakeModel(label="B")])
    change_manifest(second, **changes)
    with pytest.raises(UserError, match=message) as error:
        analysis.load_study(tmp_path)
    assert str(first) in str(error.value) and str(second) in str(error.value)


def test_other_examples_are_refused(tmp_path):
    directories = [
        write_results(tmp_path / name, FakeModel(label=name), world_seed=seed)
        for seed, name in enumerate("AB")
    ]
    manifest = (directories[0] / "manifest.json").read_text()
    (directories[1] / "manifest.json").write_text(manifest.replace('"A"', '"B"'))
    said = "do not score the same examples .phrase.* of example .*' against '"
    with pytest.raises(UserError, match=said):
        analysis.load_study(tmp_path)


def test_images_of_another_form_are_named(tmp_path):
    for name in "AB":
        folder = write_results(tmp_path / name, FakeModel(label=name))

    def with_zero(rows):
        return [row | {"image_id": f"0{row['image_id']}"} for row in rows]

    change_scores(folder, with_zero)
    with pytest.raises(UserError, match=r"image_id of example 0: '(.*)' against '0\1'"):
        analysis.load_study(tmp_path)


def test_other_thresholds_are_gaps_with_a_note(tmp_path):
    models = [FakeModel(), FakeModel(label="few", thresholds=(0.5,))]
    study = analysis.load_study(write_study(tmp_path, models))
    assert any("the runs differ in overlap thresholds" in note for note in study.notes)
    table = effects.thresholds(study, effects.bootstrap_of(study, resamples=100))
    table = table.set_index(["model", "condition"])
    assert table.loc[("few", "object@0.3"), "gap"] == "object@0.3 was not run"
    assert np.isnan(table.loc[("few", "object@0.3"), "mean"])
    assert not np.isnan(table.loc[("few", "object@0.5"), "mean"])


def test_labels_and_seeds_tell_runs_apart(tmp_path):
    write_results(tmp_path / "a", FakeModel())
    write_results(tmp_path / "b", FakeModel())
    with pytest.raises(UserError, match="both hold UNITER, seed 73"):
        analysis.load_study(tmp_path)
    write_results(tmp_path / "c", FakeModel(seed=1, name="ctrl_lxmert"))
    with pytest.raises(UserError, match="stands for ctrl_uniter_base in"):
        analysis.load_study([tmp_path / "a", tmp_path / "c"])
    assert len(analysis.load_study([tmp_path / "a", tmp_path / "a"]).runs) == 1


def test_what_is_no_results_directory_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such results directory"):
        analysis.load_study(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no results of xabl ablate in it"):
        analysis.load_study(tmp_path)
    with pytest.raises(UserError, match="no directory given"):
        analysis.load_study([])
    directory = write_results(tmp_path / "run", FakeModel())
    change_manifest(directory, format=2)
    with pytest.raises(UserError, match="format 2"):
        analysis.load_study(directory)
    (directory / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="not a manifest"):
        analysis.load_study(directory)
    (directory / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"no manifest\.json"):
        analysis.load_study(directory)


def test_broken_scores_are_refused(tmp_path):
    directory = write_results(tmp_path / "run", FakeModel(directions=("vis4lang",)))
    whole = pq.read_table(directory / "scores.parquet")
    path = directory / "scores.parquet"
    pq.write_table(whole.slice(0, len(whole) - 1), path)
    with pytest.raises(UserError, match="vis4lang all: 1 examples have no row"):
        read(directory)
    pq.write_table(pa.concat_tables([whole, whole.slice(0, 1)]), path)
    with pytest.raises(UserError, match="example 0 has more than one row"):
        read(directory)
    pq.write_table(whole.drop_columns(["condition"]), path)
    with pytest.raises(UserError, match="no column condition"):
        read(directory)
    pq.write_table(whole.slice(0, 0), path)
    with pytest.raises(UserError, match="no rows"):
        read(directory)
    path.write_bytes(b"PAR1 cut off")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        read(directory)


def test_runs_under_way_are_no_results_but_are_named(tmp_path):
    write_results(tmp_path / "done", FakeModel())
    write_results(tmp_path / ".other.1.tmp", FakeModel(label="B"))
    (tmp_path / ".third.unfinished").mkdir()
    study = analysis.load_study(tmp_path)
    assert [model.label for model in study.models] == ["UNITER"]
    assert study.notes == (
        f"{tmp_path / '.third.unfinished'}: the scores of an interrupted run; finish "
        "it with --resume",
    )


def test_notes_that_many_runs_share_are_given_once(tmp_path):
    models = [FakeModel(seed=seed, nan_scores=2) for seed in range(3)]
    study = analysis.load_study(write_study(tmp_path, models))
    about_mlm = [note for note in study.notes if "MLM" in note]
    assert len(about_mlm) == 1
    assert about_mlm[0].startswith("UNITER, seed 0 and 2 other runs: 2 scores of MLM")


def test_positions_are_of_models_that_have_them_whatever_their_name(tmp_path):
    """Not of those with a name like VL-BERT's."""
    names = [("ctrl_vl-bert_base", "vilbert"), ("mine", "vl-bert")]
    for name, embeddings in names:
        models = [FakeModel(label=label, name=name) for label in "AB"]
        folder = tmp_path / name
        for directory, rule in zip(
            write_study(folder, models), ("reference_batch", "per_example"), strict=True
        ):
            path = directory / "manifest.json"
            manifest = json.loads(path.read_text())
            manifest["model"]["config"]["image_embeddings"] = embeddings
            manifest["identity"] = {"vlbert_positions": rule}
            path.write_text(json.dumps(manifest))
        notes = " ".join(analysis.load_study(folder).notes)
        assert ("differ in VL-BERT positions" in notes) == (embeddings == "vl-bert")


def test_one_model_under_two_seeds_is_said_to_be_one(tmp_path):
    directories = write_study(tmp_path, [FakeModel(seed=seed) for seed in (1, 2)])
    for directory in directories:
        path = directory / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["model"]["params_sha256"] = "ab"
        path.write_text(json.dumps(manifest))
    (note,) = analysis.load_study(tmp_path).notes
    assert note.startswith("UNITER, seed 1; UNITER, seed 2: the same parameters under")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("labels", [("BERT",), ("BERT", "BERT-CC")])
def test_text_only_models_alone_make_a_report(tmp_path, labels):
    models = [text_only(label, 7.0) for label in labels]
    directories = write_study(tmp_path / "in", models, num_images=5)
    path = tmp_path / "report.html"
    write_report(directories, path, ReportOptions(resamples=100))
    assert "No model was asked with something removed." in path.read_text()
