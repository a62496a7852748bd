"""Results directories of `experiments.ablate`, read into aligned arrays.

What a run does not have is a gap with a reason, not an error; what would make a
comparison meaningless (other examples, a label that stands for two models) is an error.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Int32

from xabl.analysis.metrics import METRICS, NATS_PER_BIT
from xabl.errors import UserError

FORMAT = 1
SCORES, MANIFEST = "scores.parquet", "manifest.json"
_KEYS = ("example", "image_id", "phrase", "phrase_type", "direction", "condition")
# Numbers kept beside the losses; directories of older runs may lack some.
FACTS = (
    "ablated_regions",
    "target_pieces",
    "target_region",
    "silver_class",
    "gold_class",
    "gold_rank",
    "gold_probability",
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One metric of one run under one condition.

    bits: per example, NaN where excluded; None if there is a gap.
    gap: why there is no mean to give.
    """

    bits: Float32[np.ndarray, " examples"] | None
    gap: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Column:
    values: Float32[np.ndarray, " rows"]
    null: Bool[np.ndarray, " rows"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One model evaluated once.

    label: what the model is called; runs of one label differ in seed.
    arrays: by direction, condition and column: [examples] float32, losses in bits,
        NaN where not scored.
    not_finite: how many scores of a cell are NaN or infinite, and the first example.
    excluded: by direction and condition, examples counted by reason.
    """

    directory: Path
    label: str
    name: str
    seed: int | None
    manifest: dict[str, Any]
    example_ids: Int32[np.ndarray, " examples"]
    texts: dict[str, np.ndarray]  # image_id, phrase, phrase_type of each example
    arrays: dict[tuple[str, str, str], Float32[np.ndarray, " examples"]]
    not_finite: dict[tuple[str, str, str], tuple[int, int]]
    excluded: dict[tuple[str, str], dict[str, int]]

    @property
    def title(self) -> str:
        """The label, with the seed where there is one."""
        return self.label if self.seed is None else f"{self.label}, seed {self.seed}"

    def conditions(self, direction: str) -> tuple[str, ...]:
        """Conditions scored, in the order of the file."""
        return tuple(c for d, c in self.excluded if d == direction)

    def fact(
        self, column: str, direction: str, condition: str
    ) -> Float32[np.ndarray, " examples"] | None:
        """One of `FACTS` per example; None where the run does not have it."""
        values = self.arrays.get((direction, condition, column))
        return None if values is None or np.isnan(values).all() else values

    def cell(self, metric: str, condition: str) -> Cell:
        """The losses of a metric under a condition, or why there are none."""
        direction = METRICS[metric].direction
        conditions = self.conditions(direction)
        gap = None
        bits = self.arrays.get((direction, condition, metric))
        if not conditions:
            gap = f"no {direction} in this run"
        elif condition not in conditions:
            gap = f"{condition} was not run"
        elif (direction, condition, metric) in self.not_finite:
            count, first = self.not_finite[direction, condition, metric]
            gap = f"{count} scores are not finite (first: example {first})"
        elif bits is None or np.isnan(bits).all():
            gap = f"no {METRICS[metric].title} in this run"
        return Cell(bits=None if gap else bits, gap=gap)


def read_run(directory: Path) -> Run:
    """Reads a results directory.

    Raises:
        UserError: not a finished results directory; a broken or foreign file.
    """
    manifest = read_manifest(directory)
    table = read_scores(directory)
    codes = {key: _codes(table[key]) for key in _KEYS[1:]}
    examples = table["example"].to_numpy()
    ids, first_row, position = np.unique(
        examples, return_index=True, return_inverse=True
    )
    columns = {
        name: _Column(
            values=table[name].cast(pa.float32()).to_numpy(),
            null=table[name].is_null().to_numpy(),
        )
        for name in (*METRICS, *FACTS)
        if name in table.column_names
    }
    reasons = table["excluded"].to_numpy()
    run = Run(
        directory=directory,
        label=str(manifest["model"]["label"]),
        name=str(manifest["model"]["name"]),
        seed=manifest["model"].get("seed"),
        manifest=manifest,
        example_ids=ids.astype(np.int32),
        texts={
            key: np.asarray(codes[key][1], object)[codes[key][0][first_row]]
            for key in ("image_id", "phrase", "phrase_type")
        },
        arrays={},
        not_finite={},
        excluded={},
    )
    for d, direction in enumerate(codes["direction"][1]):
        for c, condition in enumerate(codes["condition"][1]):
            here = (codes["direction"][0] == d) & (codes["condition"][0] == c)
            rows = np.flatnonzero(here)
            if not len(rows):
                continue
            _check_once_each(run, examples[rows], f"{direction} {condition}")
            out = reasons[rows] != np.array(None)
            run.excluded[direction, condition] = _counts(reasons[rows][out])
            for name, column in columns.items():
                if name in METRICS and METRICS[name].direction != direction:
                    continue
                key = (direction, condition, name)
                values, null = column.values[rows], column.null[rows]
                bad = ~np.isfinite(values) & ~null & ~out
                if bad.any():
                    run.not_finite[key] = (
                        int(bad.sum()),
                        int(examples[rows][bad].min()),
                    )
                if not null.all():
                    unit = 1 / NATS_PER_BIT if name in METRICS else 1.0
                    run.arrays[key] = np.full(len(ids), np.nan, np.float32)
                    run.arrays[key][position[rows]] = values * np.float32(unit)
    return run


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a results directory.

    Raises:
        UserError: missing, not JSON, of another format, or without a part needed.
    """
    path = directory / MANIFEST
    if not directory.is_dir():
        raise UserError(f"{directory}: no such results directory")
    if not path.is_file():
        raise UserError(
            f"{directory}: no {MANIFEST}; give a directory that experiments.ablate "
            "has finished writing"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format"]
        manifest["model"]["label"], manifest["model"]["name"], manifest["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a manifest of experiments.ablate ({error!r})"
        ) from error
    if version != FORMAT:
        raise UserError(
            f"{path}: format {version}, but this version reads format {FORMAT}; "
            "run experiments.ablate again"
        )
    return manifest


def read_scores(directory: Path) -> pa.Table:
    """scores.parquet as it is (losses in nats).

    Raises:
        UserError: missing, broken, empty, or without a column needed.
    """
    path = directory / SCORES
    if not path.is_file():
        raise UserError(
            f"{directory}: no {SCORES}; the run has not finished (start "
            "experiments.ablate again with the same flags)"
        )
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error})") from error
    missing = {*_KEYS, "excluded"} - set(table.column_names)
    if missing or not any(metric in table.column_names for metric in METRICS):
        raise UserError(
            f"{path}: not scores of experiments.ablate, which have the columns "
            f"{', '.join(sorted(missing) or METRICS)}"
        )
    if not table.num_rows:
        raise UserError(f"{path}: no rows; was the split empty?")
    return table


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """A text column as indices into its distinct values."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()


def _counts(reasons: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(reasons.astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _check_once_each(run: Run, examples: np.ndarray, condition: str) -> None:
    """Every condition has one row for every example, excluded ones included."""
    ids, counts = np.unique(examples, return_counts=True)
    if (counts > 1).any():
        raise UserError(
            f"{run.directory / SCORES}: example {ids[counts > 1][0]} has more than one "
            f"row for {condition}; run experiments.ablate again"
        )
    if len(ids) != len(run.example_ids):
        missing = np.setdiff1d(run.example_ids, ids)
        raise UserError(
            f"{run.directory / SCORES}: {len(missing)} examples have no row for "
            f"{condition} (first: example {missing[0]}); the file is not complete, "
            "run experiments.ablate again"
        )
