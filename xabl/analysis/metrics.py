"""The losses that scores are kept of, and how conditions are ordered and named."""

import dataclasses
import re
from collections.abc import Iterable

NATS_PER_BIT = 0.6931471805599453  # ln 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A loss: its column in scores.parquet, its published name, what it is of."""

    column: str
    title: str
    direction: str
    meaning: str


METRICS: dict[str, Metric] = {
    metric.column: metric
    for metric in (
        Metric(
            column="mlm",
            title="MLM",
            direction="vis4lang",
            meaning="cross-entropy of the phrase's masked words",
        ),
        Metric(
            column="mrc_kl",
            title="MRC-KL",
            direction="lang4vis",
            meaning="KL divergence from the detector's class distribution",
        ),
        Metric(
            column="mrc_kl_aligned",
            title="MRC-KL-aligned",
            direction="lang4vis",
            meaning="MRC-KL with the classes of objective 6 aligned",
        ),
        Metric(
            column="mrc_xe",
            title="MRC-XE",
            direction="lang4vis",
            meaning="cross-entropy to the detector's top class, as published "
            "(its class index one off)",
        ),
        Metric(
            column="mrc_xe_corrected",
            title="MRC-XE-corrected",
            direction="lang4vis",
            meaning="cross-entropy to the detector's top class",
        ),
        Metric(
            column="mrc_xe_vg",
            title="MRC-XE-VG",
            direction="lang4vis",
            meaning="cross-entropy to the gold class (LabelMatch examples)",
        ),
    )
}
BASELINE = "none"
MAIN_CONDITIONS = {
    "vis4lang": ("none", "object@0.5", "all"),
    "lang4vis": ("none", "phrase", "all"),
}
_OBJECT = re.compile(r"object@(\d*\.?\d+)")


def threshold(condition: str) -> float | None:
    """The overlap threshold of object@t; None for other conditions."""
    match = _OBJECT.fullmatch(condition)
    return float(match[1]) if match else None


def in_order(conditions: Iterable[str]) -> tuple[str, ...]:
    """Least ablated first: none, object@0.9 ... object@0.0, phrase, all."""

    def key(condition: str) -> tuple[int, float]:
        overlap = threshold(condition)
        if overlap is not None:
            return 1, -overlap
        return {"none": 0, "phrase": 2, "all": 3}.get(condition, 4), 0.0

    return tuple(sorted(set(conditions), key=key))


def mask_name(condition: str) -> str:
    """The published tables' Mask: None, 0.5, Phrase, All."""
    overlap = threshold(condition)
    return condition.capitalize() if overlap is None else str(overlap)
