"""Says what is wrong with a results directory, column by column.

For results that another program wrote, or that were copied or edited: every file and
every column is held against what figures, tables and report expect. Nothing is written.
Ends with status 1 if there are problems.

Example:

  xabl check results/ctrl_uniter_base
"""

from absl import flags

from xabl.errors import UserError

FLAGS = flags.FLAGS

POSITIONAL = "results"


def define_flags() -> None:
    flags.DEFINE_string("results", None, "the results directory")


def main() -> None:
    from xabl.results import check

    if FLAGS.results is None:
        raise UserError("give the results directory: xabl check DIRECTORY")
    problems = check(FLAGS.results)
    for problem in problems:
        print(problem)
    if problems:
        raise UserError(f"problems found in {FLAGS.results}: {len(problems)}")
    print(f"{FLAGS.results}: as figures, tables and report expect it")
