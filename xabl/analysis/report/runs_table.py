"""The report's table of runs: where each one's numbers come from."""

from xabl.analysis.report.html_tables import Cell, Table
from xabl.analysis.study import Study


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
