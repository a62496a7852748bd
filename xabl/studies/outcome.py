"""What is left of a study: one table, one report."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xabl.errors import UserError, naming
from xabl.results.format import manifest_text
from xabl.studies.record import is_studys
from xabl.studies.runs import Run
from xabl.studies.study_file import Report
from xabl.support.atomic import new_file
from xabl.support.files import read_bytes

TABLE, REPORT = "table.tsv", "report.html"
_OF = ".outcome.json"  # which runs the two are of


def check_folder(folder: Path) -> None:
    """Refuses a folder in which the outcome would replace somebody's files.

    Raises:
        UserError: names them.
    """
    for name in (TABLE, REPORT):
        if not is_studys(folder) and (folder / name).exists():
            raise UserError(
                f"{folder / name} is there, and of no study; give another --output"
            )


def is_current(folder: Path, runs: Sequence[Run], report: Report) -> bool:
    """Whether table and report are there, and all they say is of these runs."""
    if not ((folder / TABLE).is_file() and (folder / REPORT).is_file()):
        return False
    try:
        written = json.loads((folder / _OF).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return written == _outcome_of(runs, report)


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
    for run in done:
        _note_group(run)
    _write_table(folder / TABLE, done)
    # Takes a second to import.
    from xabl.analysis.report import ReportOptions, write_report

    write_report(
        [run.output for run in done],
        folder / REPORT,
        ReportOptions(
            images=report.images,
            class_names=report.class_names,
            regions=done[0].options.files.regions,
            resamples=report.resamples,
            overwrite=True,
        ),
    )
    with new_file(folder / _OF, overwrite=True) as temporary:
        temporary.write_text(json.dumps(_outcome_of(runs, report)), encoding="utf-8")
    return [folder / TABLE, folder / REPORT]


def _outcome_of(runs: Sequence[Run], report: Report) -> dict[str, Any]:
    return {
        "runs": {
            run.name: [run.key, run.options.group] for run in runs if run.is_done()
        },
        "report": report.model_dump(mode="json"),
    }


def _note_group(run: Run) -> None:
    """A group may change in the file, though nothing is scored anew."""
    manifest = json.loads(read_bytes(run.manifest))
    if manifest["model"].get("group") != run.options.group:
        manifest["model"]["group"] = run.options.group
        with new_file(run.manifest, overwrite=True) as temporary:
            temporary.write_text(manifest_text(manifest), encoding="utf-8")


def _write_table(path: Path, runs: Sequence[Run]) -> None:
    rows, columns = [], ["Model", "Seed", "Group"]
    for run in runs:
        summary = run.output / "summary.tsv"
        with naming(summary), open(summary, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                columns += [name for name in row if name not in columns]
                about = run.options
                own = {
                    "Model": about.label,
                    "Seed": about.model_seed,
                    "Group": about.group,
                }
                rows.append(row | own)
    with new_file(path, overwrite=True) as temporary:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(
                file, columns, delimiter="\t", lineterminator="\n", restval=""
            )
            writer.writeheader()
            writer.writerows(rows)
