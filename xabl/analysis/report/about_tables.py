"""The report's tables of what its numbers are of: ways of removing, and runs."""

from xabl.analysis.report.html_tables import Cell, Table
from xabl.analysis.study import Study
from xabl.results.conditions import Direction
from xabl.results.ways import WAYS


def ways_table(study: Study) -> Table:
    """What takes the place of what is removed, for each way that was run."""
    rows = []
    done = study.ways()
    for direction in Direction:
        published = next(iter(WAYS[direction]))
        for name, way in WAYS[direction].items():
            if way.meaning in done:
                title = f"{name} (published)" if name == published else way.short
                rows.append(
                    (
                        Cell(text=direction.wording.ablated, header=True),
                        Cell(text=title),
                        Cell(text=way.meaning),
                    )
                )
    own = dict.fromkeys(run.hides for run in study.runs if run.hides)
    rows += [
        (
            Cell(text="what is hidden", header=True),
            Cell(text=f"its own ({'; '.join(done[meaning])})"),
            Cell(text=meaning),
        )
        for meaning in own
        if meaning in done
    ]
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
