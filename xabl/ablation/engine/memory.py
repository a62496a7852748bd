"""How much device memory there is, and what to use it for."""

import os

import jax
import numpy as np

from xabl.ablation.engine.schedule import TableSizes
from xabl.ablation.engine.scorer import Scorer
from xabl.ablation.options import Precision
from xabl.ablation.plan import Plan
from xabl.support.devices import LocalDevices

# Shares of the free memory for tables and for what a step computes; the rest is for
# the compiler's own needs and for other programs.
_TABLES, _STEP = 0.25, 0.5
# On a CPU device memory is everyone's: an evaluation stays below 1 GB in all. Larger
# steps are slower there: what they compute leaves the caches.
_CPU_BYTES = 384 * 2**20
_MOST_PAIRS = {"cpu": 16}
_MOST_PAIRS_ELSEWHERE = 512
# More than this in tables saves no more computation.
_MOST_TABLE_BYTES = 8 * 2**30


def free_bytes(devices: LocalDevices) -> int:
    """Memory of each device that is left when everything resident is placed."""
    device = devices.devices[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(pages, _CPU_BYTES) // len(devices)


def choose_batch_size(
    scorer: Scorer, plan: Plan, devices: LocalDevices, free: int
) -> int:
    """Pairs of one step on one device: a power of two that memory holds."""
    most = _MOST_PAIRS.get(devices.devices[0].platform, _MOST_PAIRS_ELSEWHERE)
    each = pair_bytes(
        scorer,
        words=int(plan.words.lengths.max(initial=1)),
        targets=int(plan.mlm.num_targets.max(initial=1)),
    )
    pairs = max(len(plan.mlm), len(plan.mrc))
    # No larger than a quarter of the work: padding would eat what it gains.
    most = min(
        most, max(1, pairs // (4 * len(devices))), max(1, int(free * _STEP / each))
    )
    return 1 << (most.bit_length() - 1)


def choose_tables(scorer: Scorer, plan: Plan, free: int) -> TableSizes | None:
    """How many inputs the tables hold, in proportion to the plan's distinct inputs.

    None for a model whose streams meet before anything worth keeping is computed.
    """
    if not scorer.has_tables:
        return None
    word, region = place_bytes(scorer, plan)
    words, regions = max(1, len(plan.words)), max(1, len(plan.regions))
    budget = min(free * _TABLES, _MOST_TABLE_BYTES)
    share = min(1.0, budget / (words * word + regions * region))
    return TableSizes(
        words=max(1, int(words * share)), regions=max(1, int(regions * share))
    )


def place_bytes(scorer: Scorer, plan: Plan) -> tuple[int, int]:
    """Bytes of one word input and of one region input in the tables."""
    config = scorer.config
    size = np.dtype(scorer.model.dtype).itemsize
    words = int(plan.words.lengths.max(initial=1))
    regions = plan.regions.ablated.shape[1] + config.has_image_row
    return words * config.hidden_size * size, regions * (
        config.v_hidden_size * size + 1
    )


def pair_bytes(scorer: Scorer, *, words: int, targets: int, boxes: int = 36) -> int:
    """An upper bound on what one pair needs while a step runs.

    At the widest place of a sublayer its input, the inner activations and their
    output are alive; attention has queries, keys, values and two sets of scores. The
    MLM head holds logits and their softmax at the targets.
    """
    config = scorer.config
    size = 2 if scorer.precision is Precision.BFLOAT16 else 4
    regions = 0 if config.text_only else boxes + config.has_image_row
    positions = words + regions
    width = max(config.hidden_size, config.v_hidden_size)
    inner = max(config.intermediate_size, config.v_intermediate_size)
    heads = max(config.num_attention_heads, config.v_num_attention_heads)
    sublayer = positions * (6 * width + 2 * inner) * size + 8 * heads * positions**2
    return sublayer + 3 * 4 * targets * config.vocab_size


def tree_bytes(tree: object) -> int:
    """Bytes of all arrays in a tree."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
