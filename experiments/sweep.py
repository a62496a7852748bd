r"""Runs a whole study: every model of a file ablated, trained before if need be.

    python -m experiments.sweep --study=study.yaml --output=study --dry_run
    python -m experiments.sweep --study=study.yaml --output=study

Whatever interrupts it, the same command goes on: finished runs are known by the
contents of what determines them, and unfinished ones continue. A run that fails does
not stop the others. In the end there are results/<run>, table.tsv and report.html.
The exit status is 0 when every run is done.

    python -m experiments.sweep --status --output=study
"""

from pathlib import Path

from absl import flags

from xabl.errors import UserError
from xabl.support import binary

_STUDY = flags.DEFINE_string("study", None, "the study's file (YAML)")
_OUTPUT = flags.DEFINE_string("output", None, "folder of the study", required=True)
_DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "print the runs, what is to be done and about how long it takes"
)
_STATUS = flags.DEFINE_bool("status", False, "print how far the study is")
_WORKERS = flags.DEFINE_integer(
    "workers",
    None,
    "processes side by side (default: one for each GPU; one without any)",
    lower_bound=1,
)
_RETRIES = flags.DEFINE_integer(
    "retries",
    None,
    "begin a run again so often after failures that may pass (default: the study's)",
    lower_bound=0,
)
_JOIN = flags.DEFINE_bool(
    "join", False, "help a sweep that runs on another machine in the same folder"
)


def main() -> None:
    from xabl.studies import sweep

    output = Path(_OUTPUT.value)
    if _STATUS.value:
        print(sweep.show_status(output))
        return
    if _STUDY.value is None:
        raise UserError("--study: give the study's file")
    options = sweep.SweepOptions(
        study=Path(_STUDY.value),
        output=output,
        workers=_WORKERS.value,
        retries=_RETRIES.value,
        joins=_JOIN.value,
    )
    if _DRY_RUN.value:
        print(sweep.plan(options))
        return
    if not sweep.sweep(options):
        raise UserError("not all runs are done; see above")


if __name__ == "__main__":
    binary.run(main)
