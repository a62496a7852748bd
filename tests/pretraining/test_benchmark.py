"""The benchmark of pretraining as its README has it, small."""

import dataclasses
import json

import pytest

from tests.helpers import binaries
from xabl.models.presets import PRESETS
from xabl.pretraining.small_models import shrunk


@pytest.mark.slow
def test_the_whole_benchmark_at_small_size(tmp_path):
    small = dataclasses.replace(
        shrunk(PRESETS["ctrl_uniter_base"]), name="small", vocab_size=30522
    )
    config = tmp_path / "config.json"
    config.write_text(json.dumps(small.to_dict()))
    done = binaries.run(
        "benchmarks.pretraining",
        cache=tmp_path / "cache",
        set=[f"model={config}", "batch_size=8", "accumulation=2"],
        updates=3,
        trace=True,
        output=tmp_path / "results",
    )
    assert done.status == 0, done.err
    (path,) = (tmp_path / "results").glob("*.json")
    result = json.loads(path.read_text())
    assert result["model"] == "small"
    assert result["examples_per_second"] == 8 * result["updates_per_second"] > 0
    assert 0 < result["share_of_matrix_product_rate"] < 1.5
    assert 0 < result["share_of_matrix_product_rate_by_core_seconds"] < 1.5
    assert result["pipeline_over_need"] > 0
    assert "share_of_matrix_product_rate" in done.out
