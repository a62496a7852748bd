"""What the browser shows of an example beside scores: caption, boxes, regions."""

import bisect
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from xabl.ablation.overlap import TARGET_THRESHOLD, coverage
from xabl.analysis.report.blocks import Block, pack
from xabl.analysis.study import Study
from xabl.data.regions import open_regions
from xabl.errors import UserError
from xabl.results.conditions import BASELINE, Condition, Direction
from xabl.results.format import EXAMPLES, File
from xabl.results.reading import Run, read_file
from xabl.support.files import from_json
from xabl.support.image_ids import canonical_id

MISSING = -1  # of a region or class that is not known
OVERLAP_STEPS = 1000  # overlaps travel as whole numbers of this many to 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """examples.parquet, checked; lists in the study's order of examples.

    boxes: of each phrase, x1, y1, x2, y2 in pixels.
    """

    columns: dict[str, list]
    boxes: list[Float32[np.ndarray, "_ 4"]]

    def image_ids(self, rows: Int64[np.ndarray, " rows"]) -> list[str]:
        """Images of the rows, each once, in order."""
        images = self.columns["image_id"]
        return list(dict.fromkeys(images[row] for row in rows))


def read_examples(study: Study) -> Examples:
    """The examples that all runs of a study share, from its first run.

    Raises:
        UserError: the file is missing, broken, or not of these results.
    """
    run = study.runs[0]
    path = run.directory / EXAMPLES.name
    table = read_file(run.directory, EXAMPLES)
    known = dict(zip(table.column_names, table.columns, strict=True))
    columns = EXAMPLES.table(known, len(table)).to_pydict()
    if (
        columns["example"] != run.example_ids.tolist()
        or columns["image_id"] != run.texts["image_id"].tolist()
    ):
        raise UserError(
            f"{path}: holds other examples than the scores beside it; write the "
            "results again"
        )
    boxes = [
        _boxes(path, row, text or "[]") for row, text in enumerate(columns["boxes"])
    ]
    return Examples(columns=columns, boxes=boxes)


def _boxes(path: Path, row: int, text: str) -> np.ndarray:
    try:
        boxes = np.array(from_json(text or "[]"), np.float32).reshape(-1, 4)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: row {row}: boxes {text!r} are not lists of four numbers; write "
            "the results again"
        ) from error
    return boxes


def examples_block(
    study: Study, examples: Examples, rows: Int64[np.ndarray, " rows"]
) -> Block:
    """Captions, phrases, types and boxes of the rows; texts once each."""
    taken = {
        name: [column[row] for row in rows] for name, column in examples.columns.items()
    }
    sizes = zip(taken["image_id"], taken["img_w"], taken["img_h"], strict=True)
    images = {name: [name, width, height] for name, width, height in sizes}
    arrays = {
        "number": np.array(taken["example"], "<u4"),
        "caption": np.array(
            [MISSING if c is None else c for c in taken["caption"]], "<i2"
        ),
        "first_word": np.array(taken["first_word"], "<i2"),
        "num_words": np.array(taken["num_words"], "<i2"),
        "gold": _facts(study, "gold_class", rows),
    }
    texts: dict[str, list] = {"images": list(images.values())}
    for key, name in (
        ("image", "image_id"),
        ("sentence", "sentence"),
        ("phrase", "phrase"),
        ("type", "phrase_type"),
    ):
        arrays[key], distinct = _indices(taken[name])
        if key != "image":
            texts[key] = distinct
    boxes = [examples.boxes[row] for row in rows]
    arrays["box_start"] = starts([len(found) for found in boxes])
    arrays["boxes"] = np.concatenate([np.zeros((0, 4)), *boxes]).astype("<f4")
    return pack("examples", arrays, texts)


def regions_block(
    study: Study,
    examples: Examples,
    rows: Int64[np.ndarray, " rows"],
    path: Path,
) -> Block:
    """Boxes and classes of the images' regions, and how much of each phrase they show.

    overlaps: of each row with the regions of its image. levels: how many of the
    thresholds (all that were run, and lang4vis's) each of these exceeds. hides: by
    direction and condition, the level above which a region is hidden from the model;
    null where overlap does not decide.

    Raises:
        UserError: regions that cannot be read, or not those the results are of.
    """
    thresholds = {
        (direction.value, name): _hidden_above(direction, name)
        for direction in Direction
        for name in study.conditions(direction)
    }
    finite = {t for t in thresholds.values() if t is not None and math.isfinite(t)}
    levels = sorted(finite | {TARGET_THRESHOLD})
    hides = {
        key: None if t is None else bisect.bisect([*levels, math.inf], t) - 1
        for key, t in thresholds.items()
    }
    image_ids = examples.image_ids(rows)
    boxes: dict[str, np.ndarray] = {}
    kinds: dict[str, np.ndarray] = {}
    columns = (examples.columns[name] for name in ("image_id", "img_w", "img_h"))
    sizes = {
        canonical_id(name): (width, height)
        for name, width, height in zip(*columns, strict=True)
        if width and height  # another program's results may not say
    }
    with open_regions(path) as source:
        ids = list(dict.fromkeys(map(canonical_id, image_ids)))
        for image in source.read_many(ids, sizes=sizes):
            boxes[canonical_id(image.image_id)] = image.boxes.astype(np.float64)
            # As the detector's list counts: line 0 is the background.
            kinds[canonical_id(image.image_id)] = image.objects_id + 1
    exceeded, overlaps = [], []
    for row in rows:
        regions = boxes[canonical_id(examples.columns["image_id"][row])]
        found = examples.boxes[row]
        overlap = coverage(regions, found) if len(found) else np.zeros(len(regions))
        exceeded.append(np.searchsorted(levels, overlap, side="left"))
        overlaps.append(np.rint(overlap * OVERLAP_STEPS))
    _check_same_regions(study, rows, hides, exceeded, path)
    by_image = [boxes[canonical_id(image_id)] for image_id in image_ids]
    kinds_by_image = [kinds[canonical_id(image_id)] for image_id in image_ids]
    arrays = {
        "region_start": starts([len(found) for found in by_image]),
        "regions": np.concatenate([np.zeros((0, 4)), *by_image]).round().astype("<i2"),
        "level_start": starts([len(found) for found in exceeded]),
        "kinds": np.concatenate([np.zeros(0), *kinds_by_image]).astype("<i2"),
        "levels": np.concatenate([np.zeros(0), *exceeded]).astype("<u1"),
        "overlaps": np.concatenate([np.zeros(0), *overlaps]).astype("<u2"),
    }
    texts: dict[str, Any] = {
        "thresholds": levels,
        "overlap_steps": OVERLAP_STEPS,
        "hides": {direction: {} for direction in Direction},
    }
    for (direction, name), level in hides.items():
        texts["hides"][direction][name] = level
    return pack("regions", arrays, texts)


def _hidden_above(direction: Direction, name: str) -> float | None:
    """Regions are hidden from the model whose overlap with the phrase is greater."""
    if direction is Direction.LANG4VIS:
        return TARGET_THRESHOLD  # what shows the target is masked in every condition
    return Condition.parse(direction, name).region_threshold


def _check_same_regions(
    study: Study,
    rows: Int64[np.ndarray, " rows"],
    hides: Mapping[tuple[str, str], int | None],
    exceeded: list[np.ndarray],
    path: Path,
) -> None:
    """Compares the regions counted as ablated with those of the file."""
    for run in study.runs:
        for condition in run.conditions(Direction.VIS4LANG):
            level = hides[Direction.VIS4LANG, condition]
            counts = run.fact("ablated_regions", Direction.VIS4LANG, condition)
            if level is None or counts is None:
                continue
            ours = np.array([(found > level).sum() for found in exceeded])
            theirs = counts[rows]
            wrong = np.flatnonzero(~np.isnan(theirs) & (ours != theirs))
            if len(wrong):
                example = run.example_ids[rows[wrong[0]]]
                raise UserError(
                    f"--regions: {path}: example {example} has {ours[wrong[0]]} "
                    f"regions ablated under {condition}, but {run.directory} counts "
                    f"{theirs[wrong[0]]:.0f}; give the regions those results were made "
                    "with, or none (--noas_ablated)"
                )


def _facts(study: Study, column: str, rows: Int64[np.ndarray, " rows"]) -> np.ndarray:
    values = study.fact(column, Direction.LANG4VIS, BASELINE)
    return known_integers(values, rows)


def known_integers(
    values: np.ndarray | None, rows: Int64[np.ndarray, " rows"]
) -> np.ndarray:
    """Whole numbers of the rows as int16, `MISSING` where there are none."""
    if values is None:
        return np.full(len(rows), MISSING, "<i2")
    return np.where(np.isnan(values[rows]), MISSING, values[rows]).astype("<i2")


def places(
    run: Run, file: File, table: pa.Table, rows: Int64[np.ndarray, " rows"]
) -> np.ndarray:
    """Which of `rows` each row of a file's table is about; -1 for none of them.

    Raises:
        UserError: it is about an example that the run has not scored.
    """
    examples = table["example"].to_numpy()
    position = np.searchsorted(run.example_ids, examples)
    position = np.minimum(position, len(run.example_ids) - 1)
    if (run.example_ids[position] != examples).any():
        raise UserError(
            f"{run.directory / file.name}: is of examples that have no scores; write "
            "the results again"
        )
    place = np.full(len(run.example_ids), -1)
    place[rows] = np.arange(len(rows))
    return place[position]


def starts(lengths: Sequence[int]) -> np.ndarray:
    """Where each of several lists begins when they are laid end to end, and the end."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype("<u4")


def _indices(values: Iterable[str]) -> tuple[np.ndarray, list[str]]:
    """Values as indices into the distinct ones, in order of appearance."""
    place: dict[str, int] = {}
    indices = [place.setdefault(value, len(place)) for value in values]
    return np.array(indices, np.min_scalar_type(len(place))), list(place)
