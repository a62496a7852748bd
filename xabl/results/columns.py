"""What can be wrong with the columns of one file, and which rows belong together."""

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int, Shaped

from xabl.results.format import SCORES, Column, File
from xabl.results.losses import STORED


def form_problems(table: pa.Table, file: File) -> list[str]:
    """Columns that are missing or of another type."""
    problems = [
        f"no column {column.name} ({column.meaning})"
        for column in file.columns
        if column.needed and column.name not in table.column_names
    ]
    if file is SCORES:
        if "excluded" not in table.column_names:
            problems.append("no column excluded")
        if not set(STORED) & set(table.column_names):
            problems.append(f"no column with a loss ({', '.join(STORED)})")
    for column in file.columns:
        if column.name in table.column_names:
            found = table.schema.field(column.name).type
            if not _fits(found, column):
                problems.append(
                    f"column {column.name}: is {found}, expected {column.type}"
                )
    return problems


def _fits(found: pa.DataType, column: Column) -> bool:
    kinds = pa.types
    if kinds.is_dictionary(found):
        found = found.value_type
    if kinds.is_null(found):
        return not column.needed
    if kinds.is_string(column.type):
        return kinds.is_string(found) or kinds.is_large_string(found)
    return kinds.is_integer(found) or kinds.is_floating(found)


def value_problems(table: pa.Table, file: File) -> list[str]:
    """Values that are missing, not numbers, or outside their range."""
    problems = []
    for column in file.columns:
        if column.name not in table.column_names:
            continue
        values = table[column.name]
        if column.needed and values.null_count:
            problems.append(f"column {column.name}: {values.null_count} rows are empty")
        if pa.types.is_floating(column.type):
            bad = not_finite(values)
            if bad.any():
                problems.append(
                    f"column {column.name}: {bad.sum()} values are not finite (first: "
                    f"row {np.flatnonzero(bad)[0]})"
                )
    return problems + range_problems(table, file)


def range_problems(table: pa.Table, file: File) -> list[str]:
    """Values outside their range."""
    problems = []
    for column in file.columns:
        if column.name not in table.column_names or column.low is None:
            continue
        high = np.inf if column.high is None else column.high
        values = table[column.name].to_numpy().astype(np.float64)
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero((values < column.low) | (values > high))
        wrong = wrong[np.isfinite(values[wrong])]
        if len(wrong):
            limits = f"at least {max(0, round(column.low))}" + (
                "" if column.high is None else f", at most {column.high:.0f}"
            )
            problems.append(
                f"column {column.name}: {len(wrong)} values out of range (first: row "
                f"{wrong[0]}, {values[wrong[0]]:g}); expected {limits}: "
                f"{column.meaning}"
            )
    return problems


def not_finite(values: pa.ChunkedArray) -> Bool[np.ndarray, " rows"]:
    """Which values are there and are NaN or infinite."""
    return ~np.isfinite(values.to_numpy()) & values.is_valid().to_numpy()


def rows_by_condition(table: pa.Table) -> dict[tuple[str, str], Int[np.ndarray, " _"]]:
    """Rows of each direction and condition, in the order of the table."""
    keys, codes = [], []
    for name in ("direction", "condition"):
        column = table[name].cast(pa.string()).fill_null("").combine_chunks()
        encoded = column.dictionary_encode()
        keys.append(encoded.dictionary.to_pylist())
        codes.append(encoded.indices.to_numpy())
    whole = codes[0] * max(1, len(keys[1])) + codes[1]
    found, first = np.unique(whole, return_index=True)
    return {
        (keys[0][codes[0][row]], keys[1][codes[1][row]]): np.flatnonzero(whole == code)
        for row, code in sorted(zip(first, found, strict=True))
    }


def missing_rows(
    examples: Shaped[np.ndarray, " rows"], expected: Shaped[np.ndarray, " examples"]
) -> list[str]:
    """Examples that do not have exactly one row."""
    problems = []
    ids, counts = np.unique(examples, return_counts=True)
    if (counts > 1).any():
        problems.append(f"example {ids[counts > 1][0]} has more than one row")
    missing = np.setdiff1d(expected, ids)
    if len(missing):
        problems.append(
            f"{len(missing)} examples have no row (first: example {missing[0]})"
        )
    return problems
