"""What is left of a study: one table, one report."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from xabl.studies.runs import Run
from xabl.studies.study_file import Report
from xabl.support.atomic import new_file

TABLE, REPORT = "table.tsv", "report.html"
_OF = ".outcome.json"  # which runs the two are of


def is_current(folder: Path, runs: Sequence[Run]) -> bool:
    """Whether table and report are of these runs and were written to the end."""
    try:
        return json.loads((folder / _OF).read_text(encoding="utf-8")) == _keys(runs)
    except (OSError, ValueError):
        return False


def write_outcome(folder: Path, runs: Sequence[Run], report: Report) -> list[Path]:
    """Writes table and report of the runs that are done; gives the files.

    The table has a row for each run and condition: label, seed and group of the
    model, then what the run's summary.tsv has.

    Raises:
        UserError: the results cannot be compared, or the folder not be written.
    """
    done = [run for run in runs if run.is_done()]
    if not done:
        return []
    (folder / _OF).unlink(missing_ok=True)
    _write_table(folder / TABLE, done)
    # Takes a second to import.
    from xabl.analysis.report import ReportOptions, write_report

    write_report(
        [run.output for run in done],
        folder / REPORT,
        ReportOptions(
            images=report.images,
            class_names=report.class_names,
            regions=done[0].files.regions,
            resamples=report.resamples,
            overwrite=True,
        ),
    )
    with new_file(folder / _OF, overwrite=True) as temporary:
        temporary.write_text(json.dumps(_keys(runs)), encoding="utf-8")
    return [folder / TABLE, folder / REPORT]


def _keys(runs: Sequence[Run]) -> dict[str, list[str | None]]:
    return {run.name: [run.key, run.group] for run in runs if run.is_done()}


def _write_table(path: Path, runs: Sequence[Run]) -> None:
    rows, columns = [], ["Model", "Seed", "Group"]
    for run in runs:
        with open(run.output / "summary.tsv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                columns += [name for name in row if name not in columns]
                own = {"Model": run.label, "Seed": run.seed, "Group": run.group}
                rows.append(row | own)
    with new_file(path, overwrite=True) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(
                file, columns, delimiter="\t", lineterminator="\n", restval=""
            )
            writer.writeheader()
            writer.writerows(rows)
