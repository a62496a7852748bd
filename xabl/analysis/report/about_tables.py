"""The report's tables of what its numbers are of: ways of removing, and runs."""

from xabl.analysis.report.html_tables import Cell, Table
from xabl.analysis.study import Study
from xabl.results.conditions import BASELINE, Condition, Direction
from xabl.results.ways import WAYS


def ways_table(study: Study) -> Table:
    """What takes the place of what is removed, for each way that was run."""
    rows = []
    for direction in Direction:
        names = [name for name in study.conditions(direction) if name != BASELINE]
        run = {Condition.parse(direction, name).way for name in names}
        published = next(iter(WAYS[direction]))
        for name, way in WAYS[direction].items():
            if (None if name == published else name) in run:
                title = f"{name} (published)" if name == published else way.short
                rows.append(
                    (
                        Cell(text=direction.wording.ablated, header=True),
                        Cell(text=title),
                        Cell(text=way.meaning),
                    )
                )
    return Table(
        caption="Ways of removing",
        columns=("Of", "Way", "What happens"),
        rows=tuple(rows),
    )


def runs_table(study: Study) -> Table:
    """Where each run's numbers come from."""
    rows = []
    for run in study.runs:
        known = run.manifest.get
        rows.append(
            (
                Cell(text=run.title, header=True),
                Cell(text=run.name),
                Cell(text=run.directory.name),
                Cell(text=str(known("device") or "")),
                Cell(text=str(known("precision") or "")),
                Cell(text=str(known("git_commit") or "")[:12]),
                Cell(text=str(known("started") or "")),
            )
        )
    return Table(
        caption="Runs",
        columns=(
            *("Model", "Configuration", "Results", "Device", "Precision", "Code"),
            "Started",
        ),
        rows=tuple(rows),
    )
