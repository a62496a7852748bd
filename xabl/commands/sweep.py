r"""Runs a whole study: every model of a file ablated, trained before if need be.

Whatever interrupts it, the same command goes on: finished runs are known by the
contents of what determines them, and unfinished ones continue. A run that fails does
not stop the others. In the end there are results/<run>, table.tsv and report.html.
The exit status is 0 when every run is done.

Examples:

  xabl sweep --study=study.yaml --output=study --dry_run
  xabl sweep --study=study.yaml --output=study
  xabl sweep --status --output=study
"""

from pathlib import Path

from absl import flags

from xabl.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("study", None, "the study's file (YAML)")
    flags.DEFINE_string("output", None, "folder of the study", required=True)
    flags.DEFINE_bool(
        "dry_run", False, "print the runs, what is to be done and about how long it is"
    )
    flags.DEFINE_bool("status", False, "print how far the study is")
    flags.DEFINE_integer(
        "workers",
        None,
        "processes side by side (default: one for each GPU; one without any)",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "retries",
        None,
        "begin a run again so often after failures that may pass (default: the "
        "study's, which is 3)",
        lower_bound=0,
    )
    flags.DEFINE_bool(
        "join", False, "help a sweep that runs on another machine in the same folder"
    )


def main() -> None:
    output = Path(FLAGS.output)
    if FLAGS.status:
        from xabl.studies.status import show_status

        print(show_status(output))
        return
    if FLAGS.study is None:
        raise UserError("--study: give the study's file")
    from xabl.studies import sweep

    options = sweep.SweepOptions(
        study=Path(FLAGS.study),
        output=output,
        workers=FLAGS.workers,
        retries=FLAGS.retries,
        joins=FLAGS.join,
    )
    if FLAGS.dry_run:
        print(sweep.plan(options))
    elif not sweep.sweep(options):
        raise UserError("not all runs are done; see above")
