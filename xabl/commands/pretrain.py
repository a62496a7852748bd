r"""Pretrains a model, or continues a run that was interrupted.

--config names a published run (xabl/pretraining/configs; a wrong name lists them) or a
Python file that defines `config`; --set changes any of its fields. Everything is
written into --workdir: checkpoints, metrics.jsonl, TensorBoard events, and the model
(workdir/model, and after every epoch workdir/epochs/<n>) as a directory that xabl
ablate takes.

Killed at any moment and started again with the same command, a run ends with the same
parameters. SIGTERM saves first; the exit status is then 75, "start me again".

Examples:

  xabl pretrain --config=ctrl_uniter_base \
    --workdir=runs/uniter --set=corpus=corpora/cc --set=vocabulary=bert/vocab.txt \
    --set=initial.bert=models/bert_base
  xabl pretrain --config=ctrl_lxmert --toy --workdir=/tmp/toy \
    --set=corpus=corpora/world --set=vocabulary=world/vocab.txt --set=valid_split=null
"""

import sys
from pathlib import Path

from absl import flags

from xabl.commands import common_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string(
        "config",
        None,
        "name of a published run, or a Python file that defines `config`",
        required=True,
    )
    flags.DEFINE_string("workdir", None, "folder of the run", required=True)
    flags.DEFINE_multi_string(
        "set",
        [],
        "field=value, e.g. seed=3 or optimiser.learning_rate=2e-4",
    )
    flags.DEFINE_bool(
        "toy",
        False,
        "everything small: 3 updates of a narrow model with a sublayer of each kind, "
        "from random initial values. --set is applied to the result",
    )
    flags.DEFINE_integer(
        "workers", 0, "processes that make batches (0: a thread)", lower_bound=0
    )
    common_flags.define_options("devices")
    common_flags.define_hosts("one on each host, which train together")


def main() -> None:
    from xabl.pretraining import launch

    finished = launch.start(
        launch.resolve(FLAGS.config, FLAGS.set, is_toy=FLAGS.toy),
        Path(FLAGS.workdir),
        num_devices=FLAGS.devices,
        num_workers=FLAGS.workers,
        coordinator=FLAGS.coordinator,
        num_hosts=FLAGS.hosts,
        host=FLAGS.host,
    )
    if not finished:
        sys.exit(launch.START_AGAIN)
