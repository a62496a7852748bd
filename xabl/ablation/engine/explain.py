"""What a plan will cost, before it is paid: what `--explain` prints."""

import dataclasses

from xabl.ablation.engine import arithmetic
from xabl.ablation.engine.arithmetic import Lengths
from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.memory import pair_bytes, place_bytes, tree_bytes
from xabl.ablation.engine.schedule import Schedule, Shape, TableStep
from xabl.data.word_pieces import MAX_LENGTH
from xabl.results.summary import aligned


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Of scoring a plan: inputs of the streams, their positions, operations."""

    inputs: int
    tokens: int
    operations: int


def naive_cost(evaluation: Evaluation) -> Cost:
    """Every example under every condition, padded to 38 pieces, all heads."""
    plan, config = evaluation.plan, evaluation.scorer.config
    lengths = Lengths(
        words=MAX_LENGTH, regions=evaluation.num_regions, targets=MAX_LENGTH
    )
    return Cost(
        inputs=plan.num_scored,
        tokens=plan.num_scored * (lengths.words + lengths.regions),
        operations=plan.num_scored * arithmetic.naive_input(config, lengths),
    )


def projection_cost(evaluation: Evaluation) -> Cost:
    """What is computed once per region of an image, when the store is placed."""
    store = evaluation.resident.store
    if store is None:
        return Cost(inputs=0, tokens=0, operations=0)
    images, boxes = store.present.shape
    each = arithmetic.region_row(evaluation.scorer.config)
    return Cost(inputs=images, tokens=images * boxes, operations=images * boxes * each)


def table_cost(evaluation: Evaluation, schedule: Schedule) -> Cost:
    """What is computed once per distinct word input and region input."""
    regions = evaluation.num_regions
    inputs = tokens = operations = 0
    for step in schedule.steps:
        if isinstance(step, TableStep):
            count = step.inputs.size
            inputs += count
            words = step.shape.words
            tokens += count * (words or regions)
            operations += count * (
                arithmetic.region_input(evaluation.scorer, regions)
                if words is None
                else arithmetic.word_input(evaluation.scorer, words)
            )
    return Cost(inputs=inputs, tokens=tokens, operations=operations)


def score_cost(evaluation: Evaluation, schedule: Schedule) -> Cost:
    """What is computed once per distinct pair, padding of batches included."""
    inputs = tokens = operations = 0
    for step in schedule.steps:
        if isinstance(step, TableStep):
            continue
        count, shape = step.pairs.size, step.shape
        lengths = Lengths(
            words=shape.words, regions=evaluation.num_regions, targets=shape.targets
        )
        inputs += count
        tokens += count * (lengths.words + lengths.regions)
        operations += count * arithmetic.score_input(
            evaluation.scorer, shape.direction, lengths
        )
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
    ]
    return "\n\n".join(parts)


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
