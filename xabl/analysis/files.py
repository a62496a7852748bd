"""Files written whole or not at all, and tables in the formats others read."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from xabl.support.atomic import new_file


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Lets `save` write the file; replaces what an earlier analysis wrote there.

    Raises:
        UserError: the folder cannot be written to.
    """
    with new_file(path, overwrite=True) as temporary:
        save(temporary)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text."""
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_tsv(path: Path, table: pd.DataFrame) -> None:
    """Tab-separated, numbers as precise as they are, gaps empty."""
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n"))


def write_table(folder: Path, name: str, table: pd.DataFrame) -> list[Path]:
    """One table as CSV, Parquet and LaTeX; returns the paths."""
    paths = [folder / f"{name}.{suffix}" for suffix in ("csv", "parquet", "tex")]
    csv, parquet, tex = paths
    write_text(csv, table.to_csv(index=False, lineterminator="\n"))
    write(parquet, lambda path: table.to_parquet(path, index=False))
    write_text(tex, latex(table))
    return paths


def latex(table: pd.DataFrame) -> str:
    """A booktabs tabular; numbers to the right, gaps as dashes."""
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
    lines = [
        r"\begin{tabular}{" + "".join("r" if n else "l" for n in numeric) + "}",
        r"\toprule",
        " & ".join(_escape(str(name)) for name in table.columns) + r" \\",
        r"\midrule",
    ]
    for row in table.itertuples(index=False):
        lines.append(" & ".join(_cell(value) for value in row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _cell(value: object) -> str:
    if value is None or pd.isna(value) or value == "":
        return "--"
    if isinstance(value, float):
        return f"{value:.4f}".replace("-", r"$-$", 1)
    return _escape(str(value))


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
