"""What the report says before the browser: the verdict, tables, figures, notes."""

import base64
import dataclasses

import pandas as pd

from xabl.analysis import answer, comparisons, effects, verdicts
from xabl.analysis.asymmetry import asymmetry
from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.figures import FIGURES, NotDrawn
from xabl.analysis.figures.style import render
from xabl.analysis.labelmatch.tables import agreement
from xabl.analysis.misled import lost_and_misled
from xabl.analysis.report import evidence_tables, html_tables
from xabl.analysis.report.html_tables import Table
from xabl.analysis.report.word_tables import word_tables, yardsticks_table
from xabl.analysis.study import Study
from xabl.errors import UserError
from xabl.results.conditions import Condition, Direction, Level
from xabl.results.losses import LOSSES

_MOST_SENTENCES = 12  # of comparisons; the table has all


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure as a data URI."""

    number: int
    caption: str
    uri: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sections:
    """What the report shows before the browser.

    verdict: the answer in a sentence or two.
    asymmetries, effects, misled, comparisons: sentences made from the numbers.
    tables: shown; more_tables: by title, folded.
    not_drawn: figures the results do not allow, and why.
    """

    verdict: str
    asymmetries: tuple[str, ...]
    effects: tuple[str, ...]
    misled: tuple[str, ...]
    comparisons: tuple[str, ...]
    tables: tuple[Table, ...]
    more_tables: dict[str, tuple[Table, ...]]
    figures: tuple[Picture, ...]
    not_drawn: tuple[str, ...]


def write_sections(study: Study, bootstrap: ImageBootstrap) -> Sections:
    """Computes what the report shows of a study."""
    means = effects.means(study, bootstrap)
    differences = effects.differences(study, bootstrap)
    published = comparisons.published(study)
    asymmetries = asymmetry(study, bootstrap)
    misled = lost_and_misled(study, bootstrap)
    pairs = comparisons.compare_models(study, bootstrap)
    groups = comparisons.compare_models(study.of_groups(), bootstrap)
    loss_tables = {
        metric: html_tables.loss_table(study, metric, means, differences, published)
        for metric in study.metrics()
    }
    answers = study.main_metrics()
    main = tuple(loss_tables[m] for m in answers if loss_tables.get(m))
    others = tuple(
        t for m, t in loss_tables.items() if t is not None and m not in answers
    )
    by_word, by_word_otherwise = word_tables(study, bootstrap)
    figures, not_drawn = _figures(study, bootstrap)
    rows = asymmetries.to_dict(orient="records")
    return Sections(
        verdict=html_tables.typeset(answer.verdict(asymmetries, differences)),
        asymmetries=tuple(
            html_tables.typeset(verdicts.asymmetry_sentence(row))
            for number, row in enumerate(rows)
            # The published ways of removing, which every model has first.
            if number == 0 or row["model"] != rows[number - 1]["model"]
            if row["gap"] is None or _is_gap(study, row["model"])
        ),
        effects=_effects(differences),
        misled=_misled(misled),
        comparisons=_comparisons(pairs, groups),
        tables=(
            *main,
            *by_word,
            *filter(None, [evidence_tables.misled_table(misled)]),
        ),
        more_tables={
            title: tables
            for title, group in {
                **_more_tables(study, bootstrap, others),
                "By class of word, in other ways of removing": by_word_otherwise,
                "Asymmetry, by way of removing": (
                    evidence_tables.asymmetry_table(asymmetries),
                ),
                "Between models": (evidence_tables.pairs_table(pairs),),
                "Between groups of models": (evidence_tables.pairs_table(groups),),
            }.items()
            if (tables := tuple(table for table in group if table is not None))
        },
        figures=figures,
        not_drawn=not_drawn,
    )


def _is_gap(study: Study, label: str) -> bool:
    """A text-only model has nothing to compare: not worth a sentence."""
    return not study.model(label).text_only()


def _effects(differences: pd.DataFrame) -> tuple[str, ...]:
    """Every main ablation of the main losses in words."""
    sentences = []
    for row in differences.to_dict(orient="records"):
        main = Condition.parse(row["direction"], row["condition"]).is_main
        gap = isinstance(row["gap"], str) and row["direction"] != Direction.VIS4LANG
        if row["main"] and main and not gap:
            sentences.append(html_tables.typeset(verdicts.effect_sentence(row)))
    return tuple(sentences)


def _misled(rows: pd.DataFrame) -> tuple[str, ...]:
    """Lost and misled at the main threshold in words, where they are known."""
    return tuple(
        html_tables.typeset(verdicts.misled_sentence(row))
        for row in rows.to_dict(orient="records")
        if Condition.parse(Direction.VIS4LANG, row["condition"]).is_main
        and row["gap"] is None
    )


def _comparisons(*tables: pd.DataFrame) -> tuple[str, ...]:
    """How pairs of models or groups differ under `all`, in words; not of very many."""
    rows = [
        row
        for table in tables
        for row in table.to_dict(orient="records")
        if (row["quantity"], row["condition"]) == ("effect", Level.ALL)
    ]
    if len(rows) > _MOST_SENTENCES:
        return ()
    return tuple(html_tables.typeset(verdicts.comparison_sentence(r)) for r in rows)


def _more_tables(
    study: Study, bootstrap: ImageBootstrap, others: tuple[Table, ...]
) -> dict[str, tuple[Table | None, ...]]:
    """By title."""
    tables: dict[str, tuple[Table | None, ...]] = {"Other losses": others}
    for title, groups in (
        ("By phrase type", effects.by_phrase_type(study)),
        ("By number of tokens to predict", effects.by_target_pieces(study)),
    ):
        if groups:
            tables[title] = _by_group(study, bootstrap, groups)
    tables["Beside guessing"] = (yardsticks_table(study),)
    tables["By overlap threshold"] = (
        html_tables.thresholds_table(effects.thresholds(study, bootstrap)),
    )
    tables["Over pretraining seeds"] = (html_tables.seeds_table(study),)
    try:
        tables["LabelMatch"] = (html_tables.agreement_table(agreement(study)),)
    except UserError:
        pass  # no gold labels: figure 7 says so among those not drawn
    return tables


def _by_group(
    study: Study, bootstrap: ImageBootstrap, groups: effects.Groups
) -> tuple[Table | None, ...]:
    """What ablating everything adds to the main losses, group by group."""
    metrics = study.main_metrics()
    table = effects.differences(study, bootstrap, groups=groups, metrics=metrics)
    if table.empty:
        return ()
    table = table[table["condition"] == Level.ALL]
    return tuple(
        html_tables.pivot(
            table[table["metric"] == metric],
            rows="group",
            value="difference",
            caption="What ablating everything adds to "
            f"{LOSSES[metric].title}, in bits.",
        )
        for metric in metrics
    )


def _figures(
    study: Study, bootstrap: ImageBootstrap
) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    drawn, missing = [], []
    for number, (name, draw) in FIGURES.items():
        try:
            figure = draw(study, bootstrap)
        except NotDrawn as reason:
            missing.append(f"Figure {number} ({name.replace('_', ' ')}): {reason}.")
            continue
        # Letters as paths: the reader's machine need not have the font.
        svg = render(figure.figure, "svg", **{"svg.fonttype": "path"})
        content = base64.b64encode(svg).decode("ascii")
        drawn.append(
            Picture(
                number=number,
                caption=figure.caption,
                uri=f"data:image/svg+xml;base64,{content}",
            )
        )
    return tuple(drawn), tuple(missing)
