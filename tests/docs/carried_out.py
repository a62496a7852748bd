"""What the package does after the recipes of docs/extending.md: one test for each.

Run by `test_extending` in a changed copy; here it would fail.
"""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from tests.helpers import ablation, ablation_binaries, golden_world
from tests.helpers.fake_results import FakeModel, write_results
from tests.helpers.report_pages import Page
from tests.models.test_added_model_and_target import assert_scored_as_defined, learn
from xabl import results
from xabl.ablation import run
from xabl.ablation.any_model import flax_model
from xabl.ablation.options import InputFiles, Options
from xabl.analysis.figures import write_figures
from xabl.analysis.report import ReportOptions, write_report
from xabl.data.regions import import_regions, open_regions
from xabl.data.regions.records import record_of_regions
from xabl.inspection import inspect_path
from xabl.models.presets import PRESETS, load_config
from xabl.models.reference_names import reference_names

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = ["none", "object@0.5", "all", "object@0.5/next_image", "all/next_image"]


def test_a_condition(tmp_path):
    config = ablation.shallow("two-stream")
    params = ablation.ruled_params(config)
    ablation_binaries.save(tmp_path / "model", config, params)
    regions = golden_world.write_regions(tmp_path, "lmdb")
    files = InputFiles(
        model=tmp_path / "model",
        entities=golden_world.ENTITIES,
        regions=regions,
        directions=(results.Direction.VIS4LANG,),
        thresholds=(0.5,),
        replace=("next_image",),
    )
    output = tmp_path / "results"
    options = run.RunOptions(
        files=files, evaluation=Options(), output=output, label="Mine", devices=1
    )
    run.run(options)

    # Scores are those of the definition.
    assert results.check(output) == ()
    scores = pd.read_parquet(output / "scores.parquet")
    scores = scores[scores["direction"] == "vis4lang"]
    assert list(dict.fromkeys(scores["condition"])) == NAMES
    definition = ablation.definition_of(config, flax_model(config, params))
    found = {}
    for name in NAMES:
        condition = results.Condition.parse("vis4lang", name)
        wanted = definition.losses(ablation.examples(), condition)["mlm"]
        found[name] = scores[scores["condition"] == name]["mlm"].to_numpy()
        np.testing.assert_allclose(found[name], wanted, atol=5e-6)
    assert np.nanmax(abs(found["all/next_image"] - found["all"])) > 1e-4

    # Tables and figures have it in its place, under its name.
    summary = (output / "summary.tsv").read_text().splitlines()
    masks = [line.split("\t")[1] for line in summary[1:6]]
    assert masks == ["None", "0.5", "All", "0.5 (next image)", "All (next image)"]
    write_figures(output, tmp_path / "figures", resamples=100)
    (svg,) = (tmp_path / "figures").glob("figure_1_*.svg")
    texts = re.findall(r">([^<>]+)</text>", svg.read_text())
    assert "All" in texts and texts.count("(next image)") == 2

    # The report says it in words, and its browser knows what it hides.
    report = tmp_path / "report.html"
    write_report(output, report, ReportOptions(regions=regions, resamples=100))
    page = Page(report)
    text = " ".join(page.text.split())
    assert "Replacing all image regions by those of the next image" in text
    conditions = page.index["conditions"]["vis4lang"]
    assert [conditions[name]["menu"] for name in NAMES] == [
        "None: all regions seen",
        "Object 0.5: regions with overlap above 0.5 ablated",
        "All: all regions ablated",
        "Object 0.5 (next image): regions with overlap above 0.5 "
        "replaced by the next image's",
        "All (next image): all regions replaced by the next image's",
    ]
    _, shown = page.block("regions")
    hides, levels = shown["hides"]["vis4lang"], len(shown["thresholds"])
    assert [hides[name] for name in NAMES] == [levels, 0, -1, 0, -1]


@pytest.mark.slow
def test_a_model():
    preset = load_config("gated_base")
    assert type(preset).from_dict(preset.to_dict()) == preset
    names = {tensor.name for tensor in reference_names(preset).values()}
    assert "bert.embeddings.gated_location.weight" in names
    config = dataclasses.replace(
        ablation.shallow("uniter"), image_embeddings=preset.image_embeddings
    )
    losses, _ = learn(config)
    assert losses[-1]["mlm"] < 0.7 * losses[0]["mlm"]
    mlm = assert_scored_as_defined(config).loss("mlm")
    assert np.nanmax(np.abs(mlm[:, 0] - mlm[:, 2])) > 1e-4  # it sees regions


@pytest.mark.slow
def test_a_visual_target():
    config = dataclasses.replace(
        ablation.shallow("uniter"),
        visual_target_weights=PRESETS["uniter_objects"].visual_target_weights,
    )
    losses, _ = learn(config)
    assert losses[-1]["regions_objects"] < 0.7 * losses[0]["regions_objects"]
    scores = assert_scored_as_defined(config)
    assert np.isfinite(scores.loss("mrc_kl")).any()


def test_a_form_of_region_files(tmp_path):
    images, folder = golden_world.golden_images(), tmp_path / "regions"
    folder.mkdir()
    for image in images:
        record = record_of_regions(image, short_names=False)
        np.savez(folder / f"{image.image_id}.npz", **record)
    ids = [image.image_id for image in images]
    with open_regions(folder) as source:
        import_regions(source, ids, tmp_path / "store.h5")
        for image in images:
            assert source.read(image.image_id).sha256() == image.sha256()
    with open_regions(tmp_path / "store.h5") as store:
        assert store.read_all(ids).sha256() == ablation.regions().sha256()
    assert inspect_path(folder).kind == "folder of .npz files of region features"


def test_a_figure(tmp_path):
    folder = write_results(tmp_path / "results", FakeModel(), num_images=6)
    said = write_figures(folder, tmp_path / "figures", resamples=100)
    assert "not drawn: Figure 12" not in said
    for suffix in ("pdf", "svg", "png", "tsv"):
        assert (tmp_path / "figures" / f"figure_12_spread.{suffix}").is_file()
    values = pd.read_csv(
        tmp_path / "figures" / "figure_12_spread.tsv", sep="\t", keep_default_na=False
    )
    assert values["condition"].tolist() == NAMES[:3]
    report = tmp_path / "report.html"
    write_report(folder, report, ReportOptions(resamples=100))
    assert "Figure 12. MLM loss of single examples" in Page(report).source
