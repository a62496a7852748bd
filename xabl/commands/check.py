"""Says what is wrong with a results directory, column by column.

For results that another program wrote, or that were copied or edited: every file and
every column is held against what figures, tables and report expect. Nothing is written.
Ends with status 1 if there are problems.

Examples:

  xabl check results/ctrl_uniter_base
  xabl check results
"""

from absl import flags

from xabl.errors import UserError

FLAGS = flags.FLAGS

POSITIONAL = "results"


def define_flags() -> None:
    flags.DEFINE_string("results", None, "a results directory, or a folder of them")


def main() -> None:
    from xabl.results import check
    from xabl.results.finding import find_results

    if FLAGS.results is None:
        raise UserError("give the results directory: xabl check DIRECTORY")
    directories, problems = find_results(FLAGS.results)
    for directory in directories:
        found = [f"{directory}: {problem}" for problem in check(directory)]
        problems += found
        if not found:
            print(f"{directory}: as figures, tables and report expect it")
    for problem in problems:
        print(problem)
    if problems:
        raise UserError(f"problems found in {FLAGS.results}: {len(problems)}")
