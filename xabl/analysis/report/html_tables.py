"""Data frames of the analysis as tables to read: numbers with their intervals."""

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable

import pandas as pd

from xabl.analysis import comparisons, own_models
from xabl.analysis.study import Study
from xabl.analysis.verdicts import bits, percent, seeds_said
from xabl.results.conditions import Condition, Direction, in_order
from xabl.results.intervals import FEWEST_IMAGES, no_interval
from xabl.results.losses import LOSSES

DASH = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table.

    interval: in smaller print beside the number.
    rows: how many rows it stands for; header: names the row.
    note: shown when pointed at.
    value, low, high: what is sorted by and copied: the number and its interval.
    """

    text: str
    interval: str = ""
    rows: int = 1
    header: bool = False
    numeric: bool = False
    note: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def data(self) -> dict[str, float]:
        """The numbers that are there, by name."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {
            name: number
            for name, number in numbers.items()
            if number is not None and math.isfinite(number)
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A row as it is written: `again` where its first cell is that of the row above."""

    cells: tuple[Cell, ...]
    again: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table under a caption.

    rows: as long as `columns`, or without the first cell where the one above stands
        for several rows.
    paper: columns of a copy in LaTeX; none named: all.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    paper: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every row whole: rows are sorted and copied one by one."""
        lines, first, left = [], None, 0
        for row in self.rows:
            again = left > 0
            if not again:
                first, left = row[0], row[0].rows
            left -= 1
            lines.append(Line(cells=(first, *row) if again else row, again=again))
        return tuple(lines)

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return any(line.cells[column].numeric for line in self.lines)

    def in_paper(self, column: int) -> bool:
        """Whether a column is copied in LaTeX."""
        return not self.paper or self.columns[column] in self.paper


def loss_table(
    study: Study,
    metric: str,
    means: pd.DataFrame,
    differences: pd.DataFrame,
    published: pd.DataFrame,
) -> Table | None:
    """A published table (model, condition, loss), with counts, intervals, differences.

    Args:
        means, differences, published: of `effects` and `comparisons`.
    """
    loss = LOSSES[metric]
    means = means[means["metric"] == metric]
    beside, remarks = _published_by_condition(study, published, metric)
    rows: list[tuple[Cell, ...]] = []
    seeds = {}
    for model in study.models:
        own = means[means["model"] == model.label].set_index("condition")
        wanted = [c for c in study.main_conditions(loss.direction) if c in own.index]
        if own.empty or own["mean"].isna().all():
            continue
        seeds[model.label] = len(model.runs)
        for index, condition in enumerate(wanted):
            row = []
            if index == 0:
                row.append(Cell(text=model.label, rows=len(wanted), header=True))
            change = differences[
                (differences["metric"] == metric)
                & (differences["model"] == model.label)
                & (differences["condition"] == condition)
            ]
            row += [
                Cell(text=Condition.parse(loss.direction, condition).title),
                estimate(own.loc[condition], "mean"),
                *_changes(change),
                count(int(own.loc[condition, "n"])),
            ]
            if beside:
                row += beside.get((model.label, condition), [_empty(), _empty()])
            rows.append(tuple(row))
    if not rows:
        return None
    main = ("Model", "Condition", loss.title, "Change from None", "p")
    columns = [*main, "Relative", "Examples"]
    if beside:
        columns += ["Published", "Difference"]
    return Table(
        caption=f"{loss.title} in bits: {loss.meaning}. {intervals(means['images'])} "
        f"{seeds_said(seeds)}",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=(
            *remarks,
            *own_models.remarks(study.runs, metric),
        ),
        paper=main,
    )


def pivot(
    table: pd.DataFrame, *, rows: str, value: str, caption: str, title: str = "Group"
) -> Table | None:
    """One row per group, one column per model; models without a number are left out.

    Args:
        table: tidy, with the columns model, seeds, `rows`, `value`, low, high and
            images.
        caption: what it says of intervals and seeds follows.
        title: of the column of groups.
    """
    measured = table.groupby("model", sort=False)[value].transform(
        lambda values: values.notna().any()
    )
    table = table[measured.astype(bool)]
    if table.empty:
        return None
    models = list(dict.fromkeys(table["model"]))
    by_key = {(row[rows], row["model"]): row for row in table.to_dict(orient="records")}
    lines = []
    for name in dict.fromkeys(table[rows]):
        cells = [Cell(text=str(name), header=True)]
        for model in models:
            row = by_key.get((name, model))
            signed = value == "difference"
            cells.append(_empty() if row is None else estimate(row, value, signed))
        lines.append(tuple(cells))
    images = table[table[value].notna()]["images"]
    return Table(
        caption=f"{caption} {intervals(images)} "
        f"{seeds_said(dict(zip(table['model'], table['seeds'], strict=True)))}",
        columns=(title, *models),
        rows=tuple(lines),
    )


def intervals(images: Iterable[int]) -> str:
    """What a caption says of intervals, and why some or all are not there.

    Args:
        images: how many each number is over.
    """
    counts = sorted({int(count) for count in images if count})
    if not counts:
        return ""
    least, most = counts[0], counts[-1]
    over = f"{most:,} images" if least == most else f"{least:,} to {most:,} images"
    if no_interval(most):
        few = f"No intervals and no p: {over} are too few"
        return f"{few}, {FEWEST_IMAGES} are needed."
    few = (
        f"; over fewer than {FEWEST_IMAGES} none is given" if no_interval(least) else ""
    )
    return f"In brackets 95% intervals over {over}{few}."


def seeds_table(study: Study) -> Table | None:
    """Mean and spread over seeds, of the models that have several."""
    table = comparisons.seeds(study)
    table = table[(table["seeds"] > 1) & table["metric"].isin(study.main_metrics())]
    if table.empty:
        return None
    known = [
        Condition.parse(LOSSES[metric].direction, name)
        for metric, name in zip(table["metric"], table["condition"], strict=True)
    ]
    table = table.assign(mask=[condition.title for condition in known])
    table = table[[condition.is_main for condition in known]]
    rows = [
        (
            Cell(text=row["model"], header=True),
            Cell(text=LOSSES[row["metric"]].title),
            Cell(text=row["mask"]),
            count(int(row["seeds"])),
            estimate(row, "mean"),
            number(row["sd"]),
            number(row["smallest"]),
            number(row["largest"]),
            Cell(text=row["missing"] or DASH),
        )
        for row in table.to_dict(orient="records")
    ]
    return Table(
        caption="Pretraining seeds, in bits: mean with its 95% t interval over seeds "
        "(on these images), standard deviation (n \N{MINUS SIGN} 1), smallest and "
        "largest.",
        columns=(
            *("Model", "Loss", "Condition", "Seeds", "Mean", "SD"),
            *("Smallest", "Largest", "Missing seeds"),
        ),
        rows=tuple(rows),
    )


def agreement_table(agreement: pd.DataFrame) -> Table:
    """How often the detector's top class is the one the phrase names."""
    rows = [
        (
            Cell(text=row["phrase_type"], header=True),
            count(int(row["examples"])),
            count(int(row["agree"])),
            Cell(text=f"{row['share']:.1%}", numeric=True, value=row["share"]),
        )
        for row in agreement.to_dict(orient="records")
    ]
    return Table(
        caption="LabelMatch examples: the phrase's noun names a detector class, the "
        "gold label. How often the detector's class, the silver label, is the same.",
        columns=("Phrase type", "Examples", "Detector agrees", "Share"),
        rows=tuple(rows),
    )


def thresholds_table(table: pd.DataFrame) -> Table | None:
    """MLM by overlap threshold, with the share of regions ablated."""
    if table.empty or table["threshold"].nunique() < 2:
        return None
    order = in_order(Direction.VIS4LANG, table["condition"])
    shares = table.drop_duplicates("condition").set_index("condition")["ablated_share"]
    names = {
        c: Condition.parse(Direction.VIS4LANG, c).title
        + ("" if math.isnan(shares[c]) else f" ({shares[c]:.0%} of regions)")
        for c in order
    }
    table = table.assign(mask=[names[c] for c in table["condition"]])
    table = table.sort_values(
        "condition", key=lambda column: column.map(order.index), kind="stable"
    )
    return pivot(
        table,
        rows="mask",
        title="Condition",
        value="mean",
        caption=f"{LOSSES[table['metric'].iloc[0]].title} in bits by overlap "
        "threshold (mean share of an image's regions that is ablated).",
    )


def estimate(row, value: str, signed: bool = False) -> Cell:
    """A number with its interval, or a dash and why."""
    if math.isnan(row[value]):
        gap = row.get("gap")
        return Cell(
            text=DASH, numeric=True, note=gap if isinstance(gap, str) else "no data"
        )
    show = functools.partial(bits, signed=signed)
    return Cell(
        text=typeset(show(row[value])),
        interval=interval(row["low"], row["high"], show),
        numeric=True,
        note=no_interval(int(row["images"])) or "" if "images" in row else "",
        value=row[value],
        low=row["low"],
        high=row["high"],
    )


def interval(low: float, high: float, show: Callable[[float], str]) -> str:
    """[low, high], each as `show` writes it; nothing where there is no interval."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return typeset(f"[{show(low)}, {show(high)}]")


def number(value: float, signed: bool = False) -> Cell:
    """Bits without an interval."""
    if math.isnan(value):
        return _empty()
    return Cell(text=typeset(bits(value, signed)), numeric=True, value=value)


def count(value: int) -> Cell:
    """A whole number."""
    return Cell(text=f"{value:,}", numeric=True, value=float(value))


def probability(p: float) -> Cell:
    """A p-value, never as 0: it is small, not nothing."""
    if math.isnan(p):
        return _empty()
    text = "< 0.001" if p < 0.001 else f"{p:.3f}"
    return Cell(text=text, numeric=True, value=p)


def typeset(text: str) -> str:
    """Numbers with minus signs in place of hyphens; hyphens within words stay."""
    return re.sub(r"(?<![\w-])-(?=\d)", _MINUS, text)


def _changes(change: pd.DataFrame) -> list[Cell]:
    """Difference to None, its p, and relative change with its interval."""
    if change.empty:
        return [_empty(), _empty(), _empty()]
    row = change.iloc[0]
    if math.isnan(row["relative"]):
        relative = _empty()
    else:
        relative = Cell(
            text=typeset(percent(row["relative"])),
            interval=interval(row["relative_low"], row["relative_high"], percent),
            numeric=True,
            value=row["relative"],
            low=row["relative_low"],
            high=row["relative_high"],
        )
    difference = estimate(row, "difference", signed=True)
    return [difference, probability(row["p"]), relative]


def _published_by_condition(
    study: Study, published: pd.DataFrame, metric: str
) -> tuple[dict[tuple[str, str], list[Cell]], list[str]]:
    """Published number and difference by label and condition; remarks in words.

    Of several seeds only the published one is compared.
    """
    cells, remarks = {}, {}
    rows = published[published["metric"] == metric]
    for row in rows.astype(object).to_dict(orient="records"):
        model = study.model(row["model"])
        same = pd.isna(row["published_seed"]) or row["seed"] == row["published_seed"]
        if len(model.runs) > 1 and not same:
            continue
        cells[row["model"], row["condition"]] = [
            number(row["published"]),
            number(row["difference"], signed=True),
        ]
        remark = row["remark"]
        if len(model.runs) > 1:
            remark = "; ".join(filter(None, (f"our seed {row['seed']}", remark)))
        if remark:
            remarks[f"{row['model']}, compared with the published: {remark}."] = None
    return cells, list(remarks)


def _empty() -> Cell:
    return Cell(text=DASH, numeric=True)
