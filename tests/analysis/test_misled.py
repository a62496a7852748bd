"""Lost and misled: the definition, what is exactly 0, ways, seeds, and gaps."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.fake_results import SCHEMA, FakeModel, text_only, write_study
from tests.helpers.report_pages import Page
from xabl import analysis
from xabl.analysis import effects, verdicts
from xabl.analysis.figures import write_figures
from xabl.analysis.misled import by_phrase, lost_and_misled
from xabl.analysis.report import ReportOptions, write_report
from xabl.results.conditions import WAYS, Condition, Direction, Way
from xabl.results.losses import NATS_PER_BIT

ELSEWHERE = Way(done="moved", doing="Moving {}", meaning="moved", short="elsewhere")
BITS = {"none": 3.0, "all": 3.5, "object@0.5": 4.5, "object@0.2": 3.5}


def write(folder, bits=BITS, models=()):
    """Results whose losses under vis4lang are given, with noise that cancels out."""
    models = list(models) or [FakeModel(thresholds=(0.5, 0.2))]
    directories = write_study(folder, models, num_images=30)
    for number, directory in enumerate(directories):
        path = directory / "scores.parquet"
        table = pq.read_table(path).to_pandas()
        extra = [
            table[table["condition"] == name.split("/")[0]].assign(condition=name)
            for name in bits
            if "/" in name
        ]
        table = pd.concat([table, *extra], ignore_index=True)
        for name, mean in bits.items():
            rows = table["mlm"].notna() & (table["condition"] == name)
            noise = np.random.default_rng(len(name)).standard_normal(rows.sum())
            if not rows.any():
                continue
            level = mean + 0.1 * number * (name != "none")
            nats = (level + 0.2 * (noise - noise.mean())) * NATS_PER_BIT
            table.loc[rows, "mlm"] = nats.astype(np.float32)
        pq.write_table(pa.Table.from_pandas(table, SCHEMA), path)
    return directories


def losses_of(directory):
    """MLM in nats: a row per example, a column per condition."""
    scores = pq.read_table(directory / "scores.parquet").to_pandas()
    scores = scores[scores["direction"] == "vis4lang"]
    return scores.pivot(index="example", columns="condition", values="mlm")


def rows_of(directories):
    study = analysis.load_study(directories)
    table = lost_and_misled(study, effects.bootstrap_of(study, resamples=300))
    return study, table


def test_the_definition(tmp_path):
    directories = write(tmp_path)
    _, table = rows_of(directories)
    row = table.set_index("condition").loc["object@0.5"]
    assert row["lost"] == pytest.approx(0.5, abs=1e-5)
    assert row["misled"] == pytest.approx(1.0, abs=1e-5)
    assert row["evidence"] == "higher" and row["way"] == "average"
    assert row["misled_low"] < 1 < row["misled_high"]
    mlm = losses_of(directories[0])
    expected = (mlm["object@0.5"] > mlm["all"]).mean()
    assert row["share"] == pytest.approx(expected) and 0.9 < expected <= 1
    assert row["n"] == len(mlm)
    sentence = verdicts.misled_sentence(row.to_dict() | {"condition": "object@0.5"})
    assert "information lost, which goes with all regions too, is +0.500" in sentence
    assert "being misled by the regions that stay adds +1.000 bits" in sentence
    assert "(1 seed)" in sentence and "other seeds" not in sentence


def test_where_nothing_stays_it_is_exactly_0(tmp_path):
    """The two conditions then are one input, scored once."""
    directories = write(tmp_path, {"none": 3.0, "all": 3.5})
    path = directories[0] / "scores.parquet"
    table = pq.read_table(path).to_pandas()
    vision = table["direction"] == "vis4lang"
    part, whole = (vision & (table["condition"] == n) for n in ("object@0.2", "all"))
    table.loc[part, "mlm"] = table.loc[whole, "mlm"].to_numpy()
    pq.write_table(pa.Table.from_pandas(table, SCHEMA), path)
    _, rows = rows_of(directories)
    row = rows.set_index("condition").loc["object@0.2"]
    assert row["misled"] == row["misled_low"] == row["misled_high"] == row["share"] == 0
    assert row["evidence"] == "no evidence"


@pytest.mark.usefixtures("undrawn")
def test_every_way_is_compared_with_all_of_its_own(tmp_path, monkeypatch):
    ways = WAYS[Direction.VIS4LANG] | {"elsewhere": ELSEWHERE}
    monkeypatch.setitem(WAYS, Direction.VIS4LANG, ways)
    bits = BITS | {"all/elsewhere": 3.75, "object@0.5/elsewhere": 3.25}
    directories = write(tmp_path, bits)
    study, table = rows_of(directories)
    row = table.set_index("condition").loc["object@0.5/elsewhere"]
    assert row["way"] == "elsewhere"
    assert row["lost"] == pytest.approx(0.75, abs=1e-5)
    assert row["misled"] == pytest.approx(-0.5, abs=1e-5)
    assert "still help: -0.500 bits" in verdicts.misled_sentence(
        row.to_dict() | {"condition": "object@0.5/elsewhere"}
    )
    write_figures(directories, tmp_path / "out", numbers=(10,), resamples=100)
    drawn = pd.read_csv(tmp_path / "out" / "figure_10_lost_and_misled.tsv", sep="\t")
    misled = drawn[drawn["panel"] == "Misled by what stays"].set_index("condition")
    assert misled["value"].to_dict() == pytest.approx(
        {"object@0.5": 1.0, "object@0.5/elsewhere": -0.5}, abs=1e-5
    )
    folder = tmp_path / "out" / "tables"
    for suffix in ("csv", "tex", "parquet"):
        assert (folder / f"lost_and_misled.{suffix}").is_file()


def test_seeds_and_gaps(tmp_path):
    models = [FakeModel(seed=seed, thresholds=(0.5, 0.2)) for seed in (1, 2, 3)]
    models += [FakeModel(label="half", thresholds=(0.5,))]
    models += [text_only("BERT", 7.0)]
    _, table = rows_of(write(tmp_path, models=models))
    table = table.set_index(["model", "condition"])
    row = table.loc["UNITER", "object@0.5"]
    assert row["seeds"] == 3 and row["lost_seeds_low"] <= row["lost_low"]
    assert set(table.index.get_level_values("model")) == {"UNITER", "half"}
    assert table.loc["half", "object@0.2"]["gap"] == "object@0.2 was not run"
    assert np.isnan(table.loc["half", "object@0.2"]["misled"])
    assert not np.isnan(table.loc["half", "object@0.5"]["misled"])


@pytest.mark.usefixtures("undrawn")
def test_the_report_compares_the_same_conditions(tmp_path):
    """By phrase the page takes one loss from another; both differences are these."""
    directories = write(tmp_path / "in")
    write_report(directories, tmp_path / "r.html", ReportOptions(resamples=100))
    page = Page(tmp_path / "r.html")
    cells = [tuple(cell) for cell in page.index["runs"][0]["cells"]]
    losses = page.losses(0) / page.index["loss_steps"]
    condition = Condition.parse(Direction.VIS4LANG, "object@0.2")
    lost, misled = by_phrase(analysis.load_study(directories).runs[0], condition, "mlm")
    pairs = page.index["conditions"]["vis4lang"]["object@0.2"]["effects"]
    for name, expected in (("lost", lost), ("misled", misled)):
        metric, *pair = pairs[name]
        first, second = (losses[:, cells.index((metric, of))] for of in pair)
        np.testing.assert_allclose(first - second, expected, atol=1.1e-4)
    text = " ".join(page.text.split())
    assert "Lost or misled, in bits of MLM." in text
