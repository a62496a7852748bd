r"""Pretrains a model, or goes on with a run that was interrupted.

--config is one of experiments/configs/*.py, or a file like them; --set changes any of
its fields. Everything is written into --workdir: checkpoints, metrics.jsonl,
TensorBoard events, and the model (workdir/model, and after every epoch
workdir/epochs/<n>) as a directory that xabl ablate takes.

Killed at any moment and started again with the same command, a run ends with the same
parameters. SIGTERM saves first; the exit status is then 75, "start me again".

Examples:

  xabl pretrain --config=experiments/configs/ctrl_uniter_base.py \
    --workdir=runs/uniter --set=corpus=corpora/cc --set=vocabulary=bert/vocab.txt \
    --set=initial.bert=models/bert_base
  xabl pretrain --config=experiments/configs/ctrl_lxmert.py --toy \
    --workdir=/tmp/toy --set=corpus=corpora/world --set=vocabulary=world/vocab.txt
"""

import sys
from pathlib import Path

from absl import flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string(
        "config", None, "Python file that defines `config`.", required=True
    )
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_multi_string(
        "set",
        [],
        "field=value, e.g. seed=3 or optimiser.learning_rate=2e-4; repeatable.",
    )
    flags.DEFINE_bool(
        "toy",
        False,
        "Everything small: 3 updates of a narrow model with a sublayer of each kind, "
        "from random initial values. --set is applied to the result.",
    )
    flags.DEFINE_integer("devices", None, "Devices to use (default: all).")
    flags.DEFINE_integer(
        "workers", 0, "Processes that make batches (0: a thread).", lower_bound=0
    )
    flags.DEFINE_string(
        "coordinator",
        None,
        "For several hosts: address:port of the first, or 'auto' on a cluster that "
        "tells.",
    )
    flags.DEFINE_integer("hosts", None, "Number of hosts.")
    flags.DEFINE_integer("host", None, "Which of them this is, from 0.")


def main() -> None:
    from xabl.pretraining import launch
    from xabl.pretraining.preemption import START_AGAIN

    hosts = None
    if FLAGS.coordinator is not None:
        hosts = launch.Hosts(
            coordinator=FLAGS.coordinator, count=FLAGS.hosts, this=FLAGS.host
        )
    finished = launch.run(
        launch.Command(
            config=Path(FLAGS.config),
            workdir=Path(FLAGS.workdir),
            overrides=tuple(FLAGS.set),
            is_toy=FLAGS.toy,
            num_devices=FLAGS.devices,
            num_workers=FLAGS.workers,
            hosts=hosts,
        )
    )
    if not finished:
        sys.exit(START_AGAIN)
