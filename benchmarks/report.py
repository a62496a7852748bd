"""A measurement of the ablation as text."""

from collections.abc import Mapping
from typing import Any

from xabl.results.summary import aligned


def text(result: Mapping[str, Any]) -> str:
    """Tables of all that a result of `benchmarks.ablation` holds."""
    parts = [_against_naive(result), _precisions(result), _phases(result)]
    if len(result["precisions"]) > 1:
        parts.append(_errors(result))
    if result["growth"]:
        parts.append(_growth(result))
    return "\n\n".join(parts)


def _against_naive(result: Mapping[str, Any]) -> str:
    first, naive = result["precisions"][0], result["naive"]
    rows = [
        ["model", result["model"]],
        ["images", str(first["images"])],
        ["scored inputs", str(first["scored_inputs"])],
        ["distinct pairs", str(first["distinct_pairs"])],
        ["naive, inputs a second", f"{naive['inputs_per_second']:.2f}"],
        ["ours, inputs a second", f"{first['inputs_per_second']:.2f}"],
        ["ratio", f"{result['ratio']:.2f}"],
        ["ratio that arithmetic alone allows", f"{result['ratio_of_arithmetic']:.2f}"],
        ["inputs scored the naive way", str(naive["inputs"])],
        ["largest difference, nats", f"{naive['largest_difference_nats']:.1e}"],
        ["... of a loss of nats", f"{naive['of_a_loss_of_nats']:.1f}"],
        ["host memory of this process, GB", f"{result['host_peak_gb']:.2f}"],
    ]
    return aligned([[name, value] for name, value in rows])


def _precisions(result: Mapping[str, Any]) -> str:
    rows = [
        [
            "precision",
            "inputs/s",
            "TFLOP",
            "GFLOP/s",
            "matrix product",
            "share",
            "others",
            "batch",
            "device GB",
        ]
    ]
    for facts in result["precisions"]:
        peak, others = facts["device_peak_gb"], facts["processor_share_of_others"]
        rows.append(
            [
                facts["precision"],
                f"{facts['inputs_per_second']:.2f}",
                f"{facts['tflop']:.3f}",
                f"{facts['gflop_per_second']:.1f}",
                f"{facts['matrix_product_gflop_per_second']:.1f}",
                f"{facts['share_of_matrix_product_rate']:.3f}",
                "" if others is None else f"{others:.3f}",
                str(facts["batch_size"]),
                "" if peak is None else f"{peak:.2f}",
            ]
        )
    return aligned(rows)


def _phases(result: Mapping[str, Any]) -> str:
    phases = list(result["precisions"][0]["seconds"])
    rows = [["seconds", *phases, "programs", "steps"]]
    for facts in result["precisions"]:
        seconds = (f"{facts['seconds'][phase]:.2f}" for phase in phases)
        counts = str(facts["programs"]), str(facts["steps"])
        rows.append([facts["precision"], *seconds, *counts])
    return aligned(rows)


def _errors(result: Mapping[str, Any]) -> str:
    rows = [["error in bits", "loss", "of a mean", "of a loss", "at most"]]
    for facts in result["precisions"][1:]:
        for loss, error in facts["error_bits"].items():
            values = (f"{value:.1e}" for value in error.values())
            rows.append([facts["precision"], loss, *values])
    return aligned(rows)


def _growth(result: Mapping[str, Any]) -> str:
    phases = ("load", "score", "write")
    rows = [
        ["grows", "size", "images", "inputs", "seconds", *phases, "host GB", "pairs"]
    ]
    for run in result["growth"]:
        peak = run["host_peak_gb"]
        rows.append(
            [
                run["grows"],
                str(run["size"]),
                str(run["images"]),
                str(run["scored_inputs"]),
                f"{run['seconds']:.1f}",
                *(f"{run['seconds_by_phase'][phase]:.2f}" for phase in phases),
                "" if peak is None else f"{peak:.2f}",
                str(run["distinct_pairs"]),
            ]
        )
    return aligned(rows)
