"""Results directories read into aligned arrays, whoever wrote them.

What a run does not have is a gap with a reason, not an error. What would silently make
a mean wrong (a row twice, a row missing) is an error.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int, Int32

from xabl.errors import UserError, naming, told
from xabl.results.columns import (
    form_problems,
    missing_rows,
    not_finite,
    range_problems,
    rows_by_condition,
)
from xabl.results.conditions import Condition
from xabl.results.format import ANYTHING, FACTS, MANIFEST, SCORES, VERSION, File
from xabl.results.losses import LOSSES, NATS_PER_BIT, STORED
from xabl.results.manifest_types import type_problems
from xabl.support.files import beginning, from_json, read_bytes


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One loss of one run under one condition.

    bits: per example, NaN where excluded; None if there is a gap.
    gap: why there is no mean to give.
    """

    bits: Float32[np.ndarray, " examples"] | None
    gap: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One model evaluated once.

    label: what the model is called; runs of one label differ in seed.
    texts: image_id, phrase and phrase_type of each example.
    arrays: by direction, condition and column: [examples] float32, losses in bits,
        NaN where not scored.
    not_finite: places of the examples whose score is NaN or infinite; keys as above.
    reasons: why examples are excluded; the first is for those that are not.
    excluded: by direction and condition, a place in `reasons` for each example.
    problems: what else is wrong with the files, in words.
    """

    directory: Path
    label: str
    name: str
    seed: int | None
    manifest: dict[str, Any]
    example_ids: Int32[np.ndarray, " examples"]
    texts: dict[str, np.ndarray]
    arrays: dict[tuple[str, str, str], Float32[np.ndarray, " examples"]]
    not_finite: dict[tuple[str, str, str], Int[np.ndarray, " _"]]
    reasons: tuple[str, ...]
    excluded: dict[tuple[str, str], Int[np.ndarray, " examples"]]
    problems: tuple[str, ...]

    @property
    def title(self) -> str:
        """The label, with the seed where there is one."""
        return self.label if self.seed is None else f"{self.label}, seed {self.seed}"

    @property
    def group(self) -> str | None:
        """What a study compares it as, with all other runs of that group."""
        group = self.manifest["model"].get("group")
        return group if isinstance(group, str) else None

    @property
    def tokens_a_word(self) -> float | None:
        """How many tokens of its own a word has; None: not known, or word pieces."""
        try:
            tokens = self.manifest["model"]["tokens"]
            return float(tokens["own_tokens"] / tokens["words"])
        except (KeyError, TypeError, IndexError, ArithmeticError):
            return None

    @property
    def hides(self) -> str | None:
        """How a model that reads anything hides what is removed, in its own words.

        None: as the ways of removing say, which do it before a model is asked.
        """
        about = self.manifest["model"]
        own = about.get("reads") == ANYTHING and about.get("hides")
        return str(own) if own else None

    @property
    def columns(self) -> frozenset[str]:
        """Losses and facts that there are values of."""
        return frozenset(column for _, _, column in self.arrays)

    def conditions(self, direction: str) -> tuple[str, ...]:
        """Conditions scored, in the order of the file."""
        return tuple(c for d, c in self.excluded if d == direction)

    def excluded_counts(self, direction: str, condition: str) -> dict[str, int]:
        """Examples excluded under a condition, counted by reason."""
        codes = self.excluded.get((direction, condition), ())
        found, counts = np.unique(codes, return_counts=True)
        return {
            self.reasons[int(code)]: int(count)
            for code, count in zip(found, counts, strict=True)
            if code
        }

    def fact(
        self, column: str, direction: str, condition: str
    ) -> Float32[np.ndarray, " examples"] | None:
        """One of `format.FACTS` per example; None where the run does not have it."""
        values = self.arrays.get((direction, condition, column))
        return None if values is None or np.isnan(values).all() else values

    def cell(self, loss: str, condition: str) -> Cell:
        """One loss under a condition, or why there is none."""
        direction = LOSSES[loss].direction.value
        conditions = self.conditions(direction)
        gap = None
        bits = self.arrays.get((direction, condition, loss))
        if not conditions:
            gap = f"no {direction} in this run"
        elif condition not in conditions:
            gap = f"{condition} was not run"
        elif (direction, condition, loss) in self.not_finite:
            places = self.not_finite[direction, condition, loss]
            first = self.example_ids[places[0]]
            gap = f"{len(places)} scores are not finite (first: example {first})"
        elif bits is None or np.isnan(bits).all():
            gap = f"no {LOSSES[loss].title} in this run"
        return Cell(bits=None if gap else bits, gap=gap)


@told()
def read(directory: Path | str) -> Run:
    """Reads a results directory.

    Rows of a condition that is not known are left out, and `problems` says so.

    Raises:
        UserError: not a finished results directory; a broken or foreign file.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    table = read_file(directory, SCORES)
    examples = table["example"].to_numpy()
    ids, first_row, position = np.unique(
        examples, return_index=True, return_inverse=True
    )
    reasons = table["excluded"].combine_chunks().dictionary_encode()
    codes = reasons.indices.fill_null(-1).to_numpy() + 1
    run = Run(
        directory=directory,
        label=str(manifest["model"]["label"]),
        name=str(manifest["model"]["name"]),
        seed=manifest["model"].get("seed"),
        manifest=manifest,
        example_ids=ids.astype(np.int32),
        texts={
            key: np.asarray(table[key].take(first_row).to_pylist(), object)
            for key in ("image_id", "phrase", "phrase_type")
        },
        arrays={},
        not_finite={},
        reasons=("", *map(str, reasons.dictionary.to_pylist())),
        excluded={},
        problems=(),
    )
    problems = range_problems(table, SCORES)
    columns = {
        name: table[name]
        for name in (*STORED, *FACTS)
        if name in table.column_names and table[name].null_count < len(table)
    }
    for (direction, condition), rows in rows_by_condition(table).items():
        try:
            Condition.parse(direction, condition)
        except UserError as error:
            problems.append(f"left out: {error}")
            continue
        for problem in missing_rows(examples[rows], ids):
            raise UserError(
                f"{directory / SCORES.name}: {direction} {condition}: {problem}; write "
                "the results again"
            )
        place = position[rows]
        run.excluded[direction, condition] = np.zeros(len(ids), codes.dtype)
        run.excluded[direction, condition][place] = codes[rows]
        for name in columns:
            if name in LOSSES and LOSSES[name].direction != direction:
                continue
            key = (direction, condition, name)
            own = columns[name].take(rows)
            bad = not_finite(own) & (codes[rows] == 0)
            if bad.any():
                run.not_finite[key] = np.sort(place[bad])
            if own.null_count < len(rows):
                unit = 1 / NATS_PER_BIT if name in LOSSES else 1.0
                run.arrays[key] = np.full(len(ids), np.nan, np.float32)
                run.arrays[key][place] = own.to_numpy().astype(np.float32)
                run.arrays[key] *= np.float32(unit)
                if name in LOSSES:  # of those excluded other programs may give one
                    run.arrays[key][place[codes[rows] > 0]] = np.nan
    return dataclasses.replace(run, problems=tuple(problems))


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a results directory.

    Raises:
        UserError: missing, not JSON, of another format, without a part needed, or
            with one of another type.
    """
    path = directory / MANIFEST
    if not directory.is_dir():
        raise UserError(
            f"{directory}: no such results directory; give one that xabl ablate wrote"
        )
    if not path.is_file():
        raise UserError(
            f"{directory}: no {MANIFEST}; give a directory that xabl ablate "
            "has finished writing"
        )
    try:
        manifest = from_json(read_bytes(path).decode("utf-8-sig"))
        version = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a manifest of xabl ablate ({error!r})") from error
    if version != VERSION:
        raise UserError(
            f"{path}: format {version}, but this version reads format {VERSION}; "
            "run xabl ablate again"
        )
    problems = list(type_problems(manifest))
    if problems:
        raise UserError(f"{path}: {'; '.join(problems)}; write the results again")
    return manifest


def read_file(directory: Path, file: File) -> pa.Table:
    """One file of a results directory; losses in nats, as they lie there.

    Raises:
        UserError: missing, broken, empty, or a column is missing or of another type.
    """
    path = directory / file.name
    if not path.is_file():
        raise UserError(f"{directory}: no {file.name}; {file.absent}")
    try:
        beginning(path)
        with naming(path):
            table = pq.read_table(path, page_checksum_verification=True)
        table.validate(full=True)  # that text is text, for one
        problems = form_problems(table, file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error})") from error
    if problems:
        raise UserError(f"{path}: {'; '.join(problems)}; write the results again")
    if file is SCORES and not table.num_rows:
        raise UserError(f"{path}: no rows; was the split empty?")
    types = {column.name: column.type for column in file.columns}
    names = [name for name in table.column_names if name in types]
    schema = pa.schema([(name, types[name]) for name in names])
    try:
        return table.select(names).cast(schema)
    except pa.ArrowException as error:
        raise UserError(f"{path}: {error}; write the results again") from error
