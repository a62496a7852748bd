"""The figures of Frank, Bugliarello & Elliott (EMNLP 2021), for any set of results.

Figures 10 and 11 are ours.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from xabl.analysis import comparisons, effects
from xabl.analysis.asymmetry import asymmetry
from xabl.analysis.bootstrap import RESAMPLES, ImageBootstrap
from xabl.analysis.figures import (
    confusion_matrix,
    lines,
    misled,
    selection,
    threshold,
    word_classes,
)
from xabl.analysis.figures.style import Drawn as Drawn
from xabl.analysis.figures.style import NotDrawn as NotDrawn
from xabl.analysis.figures.style import save
from xabl.analysis.files import write_table
from xabl.analysis.labelmatch.tables import LABELMATCH, LABELMATCH_AGREE
from xabl.analysis.misled import lost_and_misled
from xabl.analysis.study import Paths, Study, load_study
from xabl.analysis.word_classes import by_word_class
from xabl.analysis.yardsticks import yardsticks
from xabl.errors import check_choice
from xabl.support.atomic import new_file

FIGURES: dict[int, tuple[str, Callable[[Study, ImageBootstrap], Drawn]]] = {
    1: ("both_directions", lines.both_directions),
    2: ("overlap_threshold", threshold.overlap_threshold),
    3: ("seeds", lines.over_seeds),
    4: ("initialisation", partial(lines.variants, of=selection.INITIALISATION)),
    5: ("training_threshold", partial(lines.variants, of=selection.THRESHOLD)),
    6: ("loss", lines.loss),
    7: ("labelmatch", partial(lines.labelmatch, subset=LABELMATCH)),
    8: ("labelmatch_agree", partial(lines.labelmatch, subset=LABELMATCH_AGREE)),
    9: ("confusion", confusion_matrix.confusion_matrix),
    10: ("lost_and_misled", misled.lost_and_misled),
    11: ("word_classes", word_classes.by_class_of_word),
}


def write_figures(
    results: Paths,
    output: Path,
    *,
    numbers: Sequence[int] | None = None,
    tables: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> str:
    """Draws what the results allow and says what was drawn, what not, and why.

    Writes figure_<number>_<name>.{pdf,svg,png,tsv}, figures.md (captions, what is not
    drawn) and, with `tables`, tables/<name>.{csv,parquet,tex}.

    Args:
        numbers: of `FIGURES`; all by default.

    Raises:
        UserError: results that cannot be read or compared; no such figure; a folder
            that cannot be written.
    """
    numbers = FIGURES if numbers is None else numbers
    for number in numbers:
        check_choice("numbers", number, FIGURES)
    # The last that is written; a folder that cannot be is found at once.
    with new_file(output / "figures.md", overwrite=True) as page:
        study = load_study(results)
        bootstrap = effects.bootstrap_of(study, resamples, seed)
        drawn, missing = [], []
        for number in sorted(set(numbers)):
            name, draw = FIGURES[number]
            stem = f"figure_{number}_{name}"
            try:
                figure = draw(study, bootstrap)
            except NotDrawn as reason:
                missing.append(f"Figure {number} ({name}): {reason}.")
                continue
            save(figure, output, stem)
            drawn.append(f"**Figure {number}** (`{stem}`). {figure.caption}")
        if tables:
            for name, table in all_tables(study, bootstrap).items():
                write_table(output / "tables", name, table)
        sections = [("Figures", drawn), ("Not drawn", missing), ("Notes", study.notes)]
        text = "".join(
            f"# {title}\n\n" + "".join(f"- {line}\n" for line in lines) + "\n"
            for title, lines in sections
            if lines
        )
        first = "".join(f"{line}\n" for line in study.warnings())
        lead = f"{first}\n" if first else ""
        page.write_text(lead + text.rstrip() + "\n", encoding="utf-8")
    return (
        first
        + f"{len(drawn)} figures written to {output}\n"
        + "".join(f"not drawn: {line}\n" for line in missing)
        + "".join(f"note: {note}\n" for note in study.notes)
    )


def all_tables(study: Study, bootstrap: ImageBootstrap) -> dict:
    """Every table of a study by name, as tidy data frames (bits)."""
    types, pieces = effects.by_phrase_type(study), effects.by_target_pieces(study)
    tables = {
        "runs": comparisons.run_means(study),
        "means": effects.means(study, bootstrap),
        "differences": effects.differences(study, bootstrap),
        "differences_by_phrase_type": effects.differences(
            study, bootstrap, groups=types
        ),
        "differences_by_target_pieces": effects.differences(
            study, bootstrap, groups=pieces, metrics=("mlm",)
        ),
        "word_classes": by_word_class(study, bootstrap),
        "yardsticks": yardsticks(study),
        "thresholds": effects.thresholds(study, bootstrap),
        "lost_and_misled": lost_and_misled(study, bootstrap),
        "asymmetry": asymmetry(study, bootstrap),
        "seeds": comparisons.seeds(study),
        "published": comparisons.published(study),
        "model_pairs": comparisons.compare_models(study, bootstrap),
        "group_pairs": comparisons.compare_models(study.of_groups(), bootstrap),
    }
    return {name: table for name, table in tables.items() if not table.empty}
