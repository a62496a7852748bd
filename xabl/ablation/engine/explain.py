"""What a plan will cost, before it is paid: what `--explain` prints."""

import dataclasses

import jax
import numpy as np

from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.machines import MACHINES, measure
from xabl.ablation.engine.memory import pair_bytes, place_bytes, tree_bytes
from xabl.ablation.engine.schedule import Schedule, Shape, TableStep
from xabl.data.word_pieces import MAX_LENGTH
from xabl.models.config import ModelConfig
from xabl.models.model import VisionLanguageBert, example_inputs, parameter_shapes
from xabl.results.summary import aligned
from xabl.support.arithmetic import matrix_product_flops


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Of scoring a plan: inputs of the streams, their positions, operations."""

    inputs: int
    tokens: int
    operations: float


def naive_cost(evaluation: Evaluation) -> Cost:
    """Every example under every condition, padded to 38 pieces, all heads."""
    count, regions = evaluation.plan.num_scored, evaluation.num_regions
    each = naive_operations(evaluation.scorer.config, regions)
    return Cost(
        inputs=count, tokens=count * (MAX_LENGTH + regions), operations=count * each
    )


def naive_operations(config: ModelConfig, regions: int) -> float:
    """Of one input of 38 pieces and so many positions of regions, all heads."""

    def logits(params, *inputs):
        output = VisionLanguageBert(config).apply({"params": params}, *inputs)
        return output.mlm_logits, output.region_logits

    inputs = jax.eval_shape(
        lambda: example_inputs(config, words=MAX_LENGTH, regions=regions)
    )
    return matrix_product_flops(logits, parameter_shapes(config), *inputs)


def projection_cost(evaluation: Evaluation) -> Cost:
    """What is computed once per region of an image, when the store is placed."""
    store = evaluation.resident.store
    if store is None:
        return Cost(inputs=0, tokens=0, operations=0.0)
    images, boxes = store.present.shape
    config = evaluation.scorer.config

    def projected(params, features, locations):
        model = VisionLanguageBert(config).bind({"params": params})
        return model.project_features(features), model.project_locations(locations)

    each = matrix_product_flops(
        projected,
        evaluation.resident.params,
        *(
            np.zeros(size, np.float32)
            for size in (config.v_feature_size, config.num_locs)
        ),
    )
    return Cost(inputs=images, tokens=images * boxes, operations=images * boxes * each)


def table_cost(evaluation: Evaluation, schedule: Schedule) -> Cost:
    """What is computed once per distinct word input and region input."""
    regions = evaluation.num_regions
    inputs, tokens, operations = 0, 0, 0.0
    for step in schedule.steps:
        if isinstance(step, TableStep):
            count = step.inputs.size
            inputs += count
            words = step.shape.words
            tokens += count * (words or regions)
            operations += count * evaluation.operations.table(step.shape)
    return Cost(inputs=inputs, tokens=tokens, operations=operations)


def score_cost(evaluation: Evaluation, schedule: Schedule) -> Cost:
    """What is computed once per distinct pair, padding of batches included."""
    inputs, tokens, operations = 0, 0, 0.0
    for step in schedule.steps:
        if isinstance(step, TableStep):
            continue
        count, shape = step.pairs.size, step.shape
        inputs += count
        tokens += count * (shape.words + evaluation.num_regions)
        operations += count * evaluation.operations.score(shape)
    return Cost(inputs=inputs, tokens=tokens, operations=operations)


def explain(evaluation: Evaluation) -> str:
    """Counts, arithmetic and bytes of an evaluation, against the naive way."""
    plan, schedule = evaluation.plan, evaluation.schedule()
    naive = naive_cost(evaluation)
    ours = {
        "computed once per region of an image": projection_cost(evaluation),
        "computed once per distinct input": table_cost(evaluation, schedule),
        "computed once per distinct pair": score_cost(evaluation, schedule),
    }
    total = sum(cost.operations for cost in ours.values())
    rows = [["", "inputs", "tokens", "TFLOP"]]
    costs = {"naive: every example and condition, 38 pieces": naive, **ours}
    for name, cost in costs.items():
        tera = cost.operations / 1e12
        rows.append([name, str(cost.inputs), str(cost.tokens), f"{tera:.3f}"])
    counts = [
        ("examples", len(plan.examples)),
        ("conditions", len(plan.conditions)),
        ("scored inputs (example, condition)", plan.num_scored),
        ("distinct word inputs", len(plan.words)),
        ("distinct region inputs", len(plan.regions)),
        ("distinct pairs, vis4lang", len(plan.mlm)),
        ("distinct pairs, lang4vis", len(plan.mrc)),
        ("steps", len(schedule.steps)),
        ("programs to compile", len(schedule.shapes)),
        ("pairs a step", f"{evaluation.batch_size} x {len(evaluation.devices)}"),
    ]
    parts = [
        aligned([[name, str(value)] for name, value in counts]),
        aligned(rows),
        aligned(_bytes(evaluation, schedule)),
        f"arithmetic: {total / 1e12:.3f} TFLOP, {naive.operations / total:.2f} times "
        "less than the naive way; expect about that speed-up where arithmetic is what "
        "takes the time",
        _minutes(evaluation, schedule, total),
    ]
    return "\n\n".join(parts)


def _minutes(evaluation: Evaluation, schedule: Schedule, operations: float) -> str:
    """How long it takes here, by a measurement, and on machines measured before."""
    here, programs = measure(evaluation, schedule), len(schedule.shapes)
    compiling = programs * here.compiling / 60
    precision = evaluation.scorer.precision
    rows = [
        ["minutes", "scoring", "compiling, at most"],
        ["this machine", f"{operations / here.rate / 60:.1f}", f"{compiling:.1f}"],
    ]
    for machine in MACHINES:
        minutes = operations / machine.ablation[precision] / 60
        rows.append([f"{machine.name}, full-size models", f"{minutes:.1f}", ""])
    return (
        f"{aligned(rows)}\n\n"
        f"this machine: timed just now, as busy as it is now: {here.rate / 1e12:.3g} "
        f"TFLOP a second in {here.steps} steps ({here.seconds:.1f} s) of the program "
        f"with the most work, which took {here.compiling:.1f} s to compile; most of "
        f"the {programs} programs are compiled while others run. The others: "
        f"arithmetic divided by what was measured there with {precision}"
    )


def _bytes(evaluation: Evaluation, schedule: Schedule) -> list[list[str]]:
    scorer, plan, resident = evaluation.scorer, evaluation.plan, evaluation.resident
    tables = 0
    if schedule.tables is not None:
        word, region = place_bytes(scorer, plan)
        tables = schedule.tables.words * word + schedule.tables.regions * region
    scored = [shape for shape in schedule.shapes if isinstance(shape, Shape)]
    words = max(shape.words for shape in scored)
    targets = max(shape.targets for shape in scored)
    step = evaluation.batch_size * pair_bytes(scorer, words=words, targets=targets)
    shipped = sum(tree_bytes(evaluation.shipped(step)) for step in schedule.steps)
    found = [
        ("parameters, per device", tree_bytes(resident.params)),
        ("region store, per device", tree_bytes(resident.store)),
        ("target classes, per device", tree_bytes(resident.labels)),
        ("tables, per device", tables),
        ("one step, at most", step),
        ("shipped to the devices in all steps", shipped),
    ]
    return [["bytes", "MB"], *([name, f"{n / 1e6:.1f}"] for name, n in found)]
