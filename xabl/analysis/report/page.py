"""The HTML file: everything inside, nothing fetched, below a size that opens."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from xabl.analysis import effects, verdicts
from xabl.analysis.bootstrap import RESAMPLES
from xabl.analysis.report import (
    effect_pairs,
    pictures,
    score_blocks,
    word_blocks,
)
from xabl.analysis.report.about_tables import runs_table, ways_table
from xabl.analysis.report.as_ablated import files_of_ablation
from xabl.analysis.report.blocks import Block, script_json
from xabl.analysis.report.example_blocks import (
    Examples,
    examples_block,
    read_examples,
    regions_block,
)
from xabl.analysis.report.sampling import Sample, sample_images
from xabl.analysis.report.score_blocks import RunBlocks, run_blocks
from xabl.analysis.report.sections import Sections, write_sections
from xabl.analysis.study import Paths, Study, load_study
from xabl.analysis.terms import P_VALUE, VISUAL_TARGET
from xabl.analysis.verified import VERIFIED
from xabl.data.class_names import read_class_names
from xabl.data.image_files import check_folder
from xabl.data.regions.recognise import check_form
from xabl.errors import UserError
from xabl.results.conditions import BASELINE, Condition, Direction, Level
from xabl.results.format import WORDS
from xabl.results.intervals import FEWEST_IMAGES, no_interval
from xabl.results.losses import LOSSES
from xabl.support.atomic import new_file

# A file below this opens in a second or two.
MOST_BYTES = 29_000_000
_ASSETS = Path(__file__).parent / "assets"
_STYLES = ("report.css", "browser.css")
# In this order: later ones use what earlier ones define.
_SCRIPTS = (
    "blocks.js",
    "tables.js",
    "scores.js",
    "address.js",
    "list.js",
    "distribution.js",
    "picture.js",
    "words.js",
    "detail.js",
    "main.js",
)
_BEGINS = b"<!DOCTYPE html>"  # as the template does
_STEPS = 4  # tries at guessing how many examples fit
# What a run may lack, and how to get it.
ABSENT = {
    "predictions": "No predictions were saved, by --save_predictions=0 or because the "
    "model reads anything and tells none.",
    "words": f"No losses by word: {WORDS.name} is missing; run xabl ablate again, "
    "which writes it.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report is made of, beside the results.

    images: folder of <image id>.jpg or .png, shown behind the boxes.
    regions: file the results were made with, to draw regions.
    class_names: the detector's classes, one per line, the background first.
    as_ablated: of these three, takes what `xabl ablate` was given where one is None.
    max_examples: in the browser; fewer if the file would grow beyond `most_bytes`.
    resamples, seed: of the intervals.
    """

    images: Path | None = None
    regions: Path | None = None
    class_names: Path | None = None
    as_ablated: bool = True
    max_examples: int | None = None
    most_bytes: int = MOST_BYTES
    resamples: int = RESAMPLES
    seed: int = 0
    overwrite: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Browser:
    """The browser's data for a sample of the examples."""

    sample: Sample
    index: dict[str, Any]
    blocks: tuple[Block, ...]
    images: dict[str, str]
    notes: tuple[str, ...]


def write_report(
    results: Paths, output: Path, options: ReportOptions | None = None
) -> str:
    """Writes the report of results directories; returns what to tell the user.

    Raises:
        UserError: results that cannot be read or compared, images or regions that do
            not belong to them, `output` exists and is not to be overwritten.
    """
    options = options or ReportOptions()
    _check_files(options)
    with new_file(output, options.overwrite, begins=_BEGINS) as path:
        study = load_study(results)
        options, unfound = _as_ablated(options, study)
        examples = read_examples(study)
        names = options.class_names and read_class_names(options.class_names)
        classes = names and [alternatives[0] for alternatives in names]
        bootstrap = effects.bootstrap_of(study, options.resamples, options.seed)
        sections = write_sections(study, bootstrap)
        total = study.num_examples
        most = min(options.max_examples or total, total)
        why = "--max_examples"
        for _ in range(_STEPS):
            browser = _browser(study, examples, options, classes, (most, why))
            browser = dataclasses.replace(browser, notes=(*browser.notes, *unfound))
            content = _render(study, sections, browser, options)
            fixed = len(content) - _growing(browser)
            if len(content) <= options.most_bytes:
                break
            # Data grow with examples; the rest of the page does not.
            share = (options.most_bytes - fixed) / _growing(browser)
            most = int(most * share * 0.97)
            why = f"more would make the file larger than {options.most_bytes:,} bytes"
            if most < 1:
                raise UserError(
                    f"the tables and figures alone take {fixed:,} bytes; give fewer "
                    "results"
                )
        path.write_bytes(content)
    return _message(output, len(content), browser, study)


def _check_files(options: ReportOptions) -> None:
    """Refuses files before results are read and resampled, which takes minutes."""
    if options.images is not None:
        check_folder(options.images)
    if options.regions is not None:
        check_form(options.regions)
    if options.class_names is not None:
        read_class_names(options.class_names)


def _as_ablated(
    options: ReportOptions, study: Study
) -> tuple[ReportOptions, tuple[str, ...]]:
    """The options with the files of the ablation, and which of these are not there."""
    if not options.as_ablated:
        return options, ()
    found, notes = files_of_ablation(study)
    wanted = {name: path for name, path in found.items() if not getattr(options, name)}
    missing = [note for name, note in notes.items() if not getattr(options, name)]
    return dataclasses.replace(options, **wanted), tuple(missing)


def _growing(browser: _Browser) -> int:
    """Bytes of the page that depend on how many examples it holds."""
    data = sum(len(block.content) for block in browser.blocks)
    return data + sum(map(len, browser.images.values()))


def _browser(
    study: Study,
    examples: Examples,
    options: ReportOptions,
    classes: list[str] | None,
    limit: tuple[int, str],
) -> _Browser:
    sample = sample_images(study.images, *limit)
    rows = sample.rows
    runs = [run_blocks(run, number, rows) for number, run in enumerate(study.runs)]
    blocks = [examples_block(study, examples, rows)]
    if options.regions is not None:
        blocks.append(regions_block(study, examples, rows, options.regions))
    for run in runs:
        blocks += run.blocks
    embedded, notes = {}, ()
    image_ids = examples.image_ids(rows)
    if options.images is not None:
        found = pictures.embed(options.images, image_ids)
        # Named by place: an id may hold anything.
        embedded = {
            f"image-{place}": found.base64[image_id]
            for place, image_id in enumerate(image_ids)
            if image_id in found.base64
        }
        notes = found.notes
    return _Browser(
        sample=sample,
        index=_index(study, runs, blocks, classes),
        blocks=tuple(blocks),
        images=embedded,
        notes=(*notes, *_missing(study, runs)),
    )


def _index(
    study: Study, runs: list[RunBlocks], blocks: list[Block], classes: list[str] | None
) -> dict[str, Any]:
    """What the page's script reads at once."""
    return {
        "runs": [run.about for run in runs],
        "metrics": {
            name: {
                "title": LOSSES[name].title,
                "direction": LOSSES[name].direction,
                "meaning": LOSSES[name].meaning,
            }
            for name in study.metrics()
        },
        "directions": {
            direction: dataclasses.asdict(direction.wording) for direction in Direction
        },
        "conditions": {
            direction: {
                name: _condition(study, Condition.parse(direction, name))
                for name in study.conditions(direction)
            }
            for direction in Direction
        },
        "baseline": BASELINE,
        "default_condition": Level.ALL,
        "words_of": Direction.VIS4LANG,
        "effects": {
            name: {"title": effect.title, "meaning": effect.meaning}
            for name, effect in effect_pairs.EFFECTS.items()
        },
        "absent": ABSENT,
        "types": [name for name, _ in effects.by_phrase_type(study)],
        "classes": classes,
        "blocks": {block.name: block.header for block in blocks},
        "loss_steps": score_blocks.LOSS_STEPS,
        "probability_steps": score_blocks.PROBABILITY_STEPS,
        "word_steps": word_blocks.WORD_STEPS,
        "unknown_rank": word_blocks.UNKNOWN_RANK,
        "no_score": score_blocks.NO_SCORE,
        "not_finite": score_blocks.NOT_FINITE,
        "no_probability": score_blocks.NO_PROBABILITY,
    }


def _condition(study: Study, condition: Condition) -> dict[str, Any]:
    """What the page's script knows of a condition beside its name."""
    return {
        "title": condition.title,
        "menu": condition.menu_name,
        "main": condition.is_main,
        "hidden_words": condition.hidden_words.value,
        "way": None if condition.level is Level.NONE else condition.way_meaning,
        "effects": effect_pairs.of_condition(study, condition),
    }


def _missing(study: Study, runs: list[RunBlocks]) -> tuple[str, ...]:
    """Which runs lack what the browser could show of them."""
    notes = []
    for name, remedy in ABSENT.items():
        titles = [
            run.title
            for run, blocks in zip(study.runs, runs, strict=True)
            if blocks.about[name] is None
        ]
        if titles:
            notes.append(f"{verdicts.listed(titles)}: {remedy[0].lower()}{remedy[1:]}")
    return tuple(notes)


def _render(
    study: Study, sections: Sections, browser: _Browser, options: ReportOptions
) -> bytes:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    num_images = len(np.unique(study.images.astype(str)))
    values: Mapping[str, Any] = {
        "split": study.runs[0].manifest["data"].get("split"),
        "num_examples": study.num_examples,
        "num_images": num_images,
        "models": verdicts.listed(model.label for model in study.models),
        "losses": ", ".join(LOSSES[name].title for name in study.main_metrics()),
        "fewest_images": FEWEST_IMAGES,
        "too_few": no_interval(num_images),
        "ways_table": ways_table(study),
        "runs_table": runs_table(study),
        "effects": effect_pairs.EFFECTS.values(),
        "metrics": [LOSSES[name] for name in study.metrics()],
        "visual_target": VISUAL_TARGET,
        "p_value": P_VALUE,
        "directions": [direction.wording for direction in Direction],
        "ways": study.ways_in_words(),
        "warnings": study.warnings(),
        "sections": sections,
        "verified": VERIFIED,
        "notes": (*study.notes, *browser.notes),
        "sample": browser.sample,
        "has_regions": options.regions is not None,
        "has_images": options.images is not None,
        "resamples": options.resamples,
        "seed": options.seed,
        "index": script_json(browser.index),
        "blocks": browser.blocks,
        "images": browser.images,
        "style": _assets(_STYLES),
        "script": _assets(_SCRIPTS),
    }
    text = environment.get_template("report.html").render(values)
    # Texts of results may hold what UTF-8 cannot.
    return text.encode("utf-8", errors="replace")


def _assets(names: tuple[str, ...]) -> str:
    return "\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in names)


def _message(output: Path, size: int, browser: _Browser, study: Study) -> str:
    count = len(study.models)
    lines = [
        *study.warnings(),
        f"{output}: {size / 1e6:.1f} MB, {count} model{'' if count == 1 else 's'}, "
        f"{len(browser.sample.rows):,} of {study.num_examples:,} examples to browse",
        *(f"note: {note}" for note in (*study.notes, *browser.notes)),
    ]
    return "\n".join(lines) + "\n"
