"""Results directories among paths: one of them, or a folder that holds them."""

from collections.abc import Sequence
from pathlib import Path

from xabl.errors import UserError, told
from xabl.results.format import MANIFEST, SCORES, UNFINISHED

Paths = str | Path | Sequence[str | Path]


@told()
def find_results(results: Paths) -> tuple[list[Path], list[str]]:
    """Results directories among the paths and directly below them, with notes.

    Raises:
        UserError: a path that is not there, or holds no results.
    """
    paths = [results] if isinstance(results, str | Path) else list(results)
    found, notes, parts = [], [], (MANIFEST, SCORES.name)
    for path in map(Path, paths):
        if not path.is_dir():
            raise UserError(
                f"{path}: no such results directory; give one that xabl ablate wrote, "
                "or a folder of them"
            )
        if any((path / name).exists() for name in parts):
            found.append(path)
            continue
        children = sorted(path.iterdir())
        below = [
            child
            for child in children
            if any((child / name).exists() for name in parts)
            if not child.name.startswith(".")  # results that are being written
        ]
        finished = [
            child for child in below if all((child / name).exists() for name in parts)
        ]
        notes += [
            f"{child}: left out, the run has not finished"
            for child in below
            if child not in finished
        ]
        notes += [
            f"{child}: the scores of an interrupted run; finish it with --resume"
            for child in children
            if child.name.startswith(".") and child.name.endswith(UNFINISHED)
        ]
        if not finished:
            raise UserError(
                f"{path}: no results of xabl ablate in it (expected "
                f"{' and '.join(parts)}, in it or one level below)"
            )
        found += finished
    if not found:
        raise UserError("--results: no directory given")
    return list({path.resolve(): path for path in found}.values()), notes
