"""The studies that come with the package: that they say what they are said to say."""

import collections
import re

import pytest

from tests.helpers import binaries
from xabl.results.published import NUM_EXAMPLES
from xabl.studies.runs import runs_of
from xabl.studies.study_file import (
    Ablation,
    Data,
    Model,
    Pretrainings,
    Report,
    StudyFile,
    Variant,
    read_study,
)


def test_the_published_study_has_all_63_rows(tmp_path):
    study, lines = read_study("published")
    runs = runs_of(study, lines, tmp_path)
    assert len(runs) == len({run.name for run in runs}) == 63
    labels = collections.Counter(run.options.label for run in runs)
    assert [labels.pop(m) for m in ("UNITER", "VL-BERT", "VisualBERT")] == [10] * 3
    assert [labels.pop(m) for m in ("ViLBERT", "LXMERT")] == [10] * 2
    assert len(labels) == 13 and set(labels.values()) == {1}
    for run in runs:
        run.source.config()  # every preset exists
    assert {
        run.source.configuration for run in runs if run.options.label == "UNITER"
    } == {"ctrl_uniter_base"}


def test_the_page_on_studies_has_files_that_work_and_all_keys(tmp_path):
    page = (binaries.ROOT / "docs" / "studies.md").read_text()
    found = []
    for text in re.findall(r"```yaml\n(.*?)```", page, re.S):
        (tmp_path / "study.yaml").write_text(text)
        found += runs_of(*read_study(tmp_path / "study.yaml"), tmp_path)
    assert [run.name for run in found[:3]] == ["UNITER-s0", "UNITER-s1", "LXMERT"]
    assert len(found) == 7 and found[2].source.config()
    for part in (Data, Ablation, Model, Pretrainings, Variant, Report, StudyFile):
        for key in part.model_fields:
            assert f"`{key}`" in page, key


@pytest.mark.slow
def test_a_dry_run_needs_no_files(tmp_path):
    planned = binaries.run(
        "experiments.sweep", study="published", output=tmp_path, dry_run=True
    )
    assert planned.status == 0, planned.err
    rows = planned.out.splitlines()
    assert sum(" convert, ablate; not possible yet: " in row for row in rows) == 63
    total = next(row for row in rows if row.startswith("all to do"))
    # 61 models under 15 conditions and two under one.
    inputs = NUM_EXAMPLES * (61 * 15 + 2)
    assert int(total.split()[3]) == inputs
    assert " h on 2 cores" in rows[-1]
    assert not (tmp_path / "results").exists()


def test_the_small_study_is_a_grid(tmp_path):
    study, lines = read_study("synthetic_world")
    runs = runs_of(study, lines, tmp_path)
    assert [run.name for run in runs] == [
        "seen-s0",
        "seen-s1",
        "hidden-s0",
        "hidden-s1",
    ]
    kinds = {run.options.label: run.source.configuration.inputs for run in runs}
    assert kinds["seen"].overlap_masking == "published"
    assert kinds["hidden"].overlap_masking == "zero_features"
    assert {run.source.configuration.seed for run in runs} == {0, 1}
