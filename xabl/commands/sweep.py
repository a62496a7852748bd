r"""Runs a whole study: every model of a file ablated, trained before if need be.

Whatever interrupts it, the same command goes on: finished runs are known by the
contents of what determines them, and unfinished ones continue. A run that fails does
not stop the others. In the end there are results/<run>, table.tsv and report.html.
Relative paths in the file begin in its folder; docs/studies.md lists its keys. The exit
status is 0 when every run is done.

Examples:

  xabl sweep --study=study.yaml --output=study --dry_run
  xabl sweep --study=study.yaml --output=study
  xabl sweep --status --output=study
  xabl sweep --study=study.yaml --output=study --launcher=slurm --slurm_jobs=16 \
    --slurm_partition=gpu
"""

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from xabl.errors import UserError

if TYPE_CHECKING:
    from xabl.studies.slurm import Resources

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string(
        "study",
        None,
        "the study's file (YAML), or one that comes with xabl: published, "
        "synthetic_world",
    )
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
    flags.DEFINE_enum("launcher", "local", ["local", "slurm"], "where the workers are")
    flags.DEFINE_integer("slurm_jobs", 8, "most jobs at the same time", lower_bound=1)
    flags.DEFINE_string(
        "slurm_partition", None, "of the jobs (default: the cluster's own default)"
    )
    flags.DEFINE_integer("slurm_gpus", 1, "GPUs of a job", lower_bound=0)
    flags.DEFINE_integer("slurm_cpus", 4, "processor cores of a job", lower_bound=1)
    flags.DEFINE_float("slurm_memory_gb", 32.0, "memory of a job", lower_bound=0.1)
    flags.DEFINE_integer(
        "slurm_minutes",
        720,
        "time of a job, which is queued again after it",
        lower_bound=3,
    )
    flags.DEFINE_list(
        "slurm_options", [], "more options of sbatch, such as account=vision,qos=low"
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

    if FLAGS.launcher == "slurm" and FLAGS.workers is not None:
        raise UserError("--workers is for --launcher=local; give --slurm_jobs")
    options = sweep.SweepOptions(
        study=Path(FLAGS.study),
        output=output,
        workers=FLAGS.workers,
        slurm=_resources() if FLAGS.launcher == "slurm" else None,
        retries=FLAGS.retries,
        joins=FLAGS.join,
    )
    if FLAGS.dry_run:
        print(sweep.plan(options))
    elif not sweep.sweep(options):
        raise UserError("not all runs are done; see above")


def _resources() -> "Resources":
    from xabl.studies.slurm import Resources

    more = [tuple(option.split("=", 1)) for option in FLAGS.slurm_options]
    if any(len(option) != 2 for option in more):
        raise UserError("--slurm_options: give name=value, as in account=vision")
    return Resources(
        jobs=FLAGS.slurm_jobs,
        partition=FLAGS.slurm_partition,
        gpus=FLAGS.slurm_gpus,
        cpus=FLAGS.slurm_cpus,
        memory_gb=FLAGS.slurm_memory_gb,
        minutes=FLAGS.slurm_minutes,
        more=tuple(more),
    )
