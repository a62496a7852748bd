"""The benchmark as its README has it, small: what it will do on any machine."""

import dataclasses
import json

import pytest

from benchmarks.machine import MatrixProducts
from benchmarks.part import spread_images
from tests.helpers import ablation, binaries
from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.padding import ProgramLimits
from xabl.ablation.engine.schedule import Schedule
from xabl.ablation.plan import build_plan
from xabl.results.conditions import Direction


def test_a_part_is_images_spread_evenly_and_nothing_else():
    plan = build_plan(
        ablation.examples(), ablation.regions(), ablation.FEW_CONDITIONS, mask_id=4
    )
    part = spread_images(plan, 2)
    images = [example.image_id for example in plan.examples]
    order = list(dict.fromkeys(images))
    kept = [order[len(order) // 4], order[3 * len(order) // 4]]
    assert [images[n] for n in part.examples] == [i for i in images if i in kept]
    assert part.num_images == 2
    schedule = Schedule(
        plan, devices=1, batch_size=4, limits=ProgramLimits(worth=1000), done=part.done
    )
    scored = {direction: set() for direction in Direction}
    for step in schedule.steps:
        pairs = step.pairs[step.pairs != NOT_SCORED].tolist()
        scored[step.shape.direction].update(pairs)
    assert sum(map(len, scored.values())) == part.num_pairs
    for direction, pairs in scored.items():
        of_part = plan.pair[part.examples][:, plan.columns(direction)]
        assert pairs == set(of_part[of_part != NOT_SCORED].tolist())
    everything = spread_images(plan, 10**6)
    assert everything.num_scored == plan.num_scored


def test_matrix_products_are_timed_over_all_turns(monkeypatch):
    monkeypatch.setattr("benchmarks.machine._CPU_SIZES", (64, 128))
    monkeypatch.setattr("benchmarks.machine._SECONDS_A_SIZE", 0.01)
    products = MatrixProducts("float32")
    for _ in range(3):
        products.take_turn()
    assert products.rate > 0
    slowest = min(2 * n**3 / 0.03 for n in (64, 128))
    assert products.rate > slowest  # more than one product in three turns


@pytest.mark.slow
def test_the_whole_benchmark_at_small_size(tmp_path):
    config = dataclasses.replace(
        ablation.shallow("two-stream"),
        name="small",
        vocab_size=30522,
        hidden_size=48,
        v_hidden_size=48,
        pooler_size=48,
        v_pooler_size=48,
        sublayer2attn_hidden_size=(),
    )
    file = tmp_path / "small.json"
    file.write_text(json.dumps(config.to_dict()))
    done = binaries.run(
        "benchmarks.ablation",
        model=file,
        images=0.003,
        part=0.67,
        naive_inputs=32,
        precision=["highest", "default", "bfloat16"],
        growth=True,
        output=tmp_path / "results",
    )
    assert done.status == 0, done.err
    (path,) = (tmp_path / "results").glob("*.json")
    result = json.loads(path.read_text())
    assert result["date"] and result["machine"]["processor"]
    assert 0 <= result["naive"]["largest_difference_nats"] < 5e-6
    exact, fast, rough = result["precisions"]
    assert exact["images"] == 2 and exact["scored_inputs"] > exact["distinct_pairs"]
    # On a CPU "default" is float32 too.
    assert fast["error_bits"]["mlm"]["largest_of_a_loss"] == 0
    assert 0 < rough["error_bits"]["mlm"]["largest_of_a_mean"] < 0.1
    grown = {run["grows"] for run in result["growth"]}
    assert grown == {"images", "conditions", "models", "devices"}
    assert "ratio_of_arithmetic" in done.out


@pytest.mark.slow
def test_the_accelerator_script_runs_on_a_cpu_to_the_last_line(tmp_path):
    model = "ctrl_uniter_base"
    parts = [
        f"ablation:{model}:bfloat16/highest",
        f"seeds:{model}:highest",
        f"pretraining:{model}:float32",
        "products",
    ]
    done = binaries.run(
        "benchmarks.accelerator",
        cache=tmp_path / "cache",
        tiny=True,
        parts=",".join(parts),
        output=tmp_path / "found",
    )
    assert done.status == 0, done.err
    assert done.out.count(": done") == len(parts) + 1  # files are made first
    run, _, errors = _found(tmp_path, f"ablation:{model}:bfloat16/highest")
    assert run["tflop_per_second"] > 0 and run["trace"]["kernel_ms"]
    assert 0 < errors["largest_error_nats"]["mlm"] < 0.1
    first, second = _found(tmp_path, f"seeds:{model}:highest")
    assert (first["seed"], second["seed"]) == (0, 1)
    (update,) = _found(tmp_path, f"pretraining:{model}:float32")
    assert update["tflop_of_an_update"] > 0 and update["first_loss"] > 0
    assert "TF32_TF32_F32_X3" in done.out


def _found(folder, part):
    name = part.replace(":", "_").replace("/", "_")
    content = json.loads((folder / "found" / f"{name}.json").read_text())
    assert content["part"] == part
    return content["found"]
