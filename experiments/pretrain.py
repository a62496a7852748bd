r"""Pretrains a model, or goes on with a run that was interrupted.

--config names a published run (xabl/pretraining/configs; a wrong name lists them) or a
Python file like those; --set changes any of its fields. Everything is written into
--workdir: checkpoints, metrics.jsonl, TensorBoard events, and the model (workdir/model,
and after every epoch workdir/epochs/<n>) as a directory that experiments.ablate takes.

Killed at any moment and started again with the same command, a run ends with the same
parameters. SIGTERM saves first; the exit status is then 75, "start me again".

Examples:

  python -m experiments.pretrain --config=ctrl_uniter_base \
    --workdir=runs/uniter --set=corpus=corpora/cc --set=vocabulary=bert/vocab.txt \
    --set=initial.bert=models/bert_base
  python -m experiments.pretrain --config=ctrl_lxmert --toy \
    --workdir=/tmp/toy --set=corpus=corpora/world --set=vocabulary=world/vocab.txt
"""

import sys
from pathlib import Path

from absl import flags

from xabl.support import binary

_CONFIG = flags.DEFINE_string(
    "config",
    None,
    "Name of a published run, or a Python file that defines `config`.",
    required=True,
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_SET = flags.DEFINE_multi_string(
    "set", [], "field=value, e.g. seed=3 or optimiser.learning_rate=2e-4; repeatable."
)
_TOY = flags.DEFINE_bool(
    "toy",
    False,
    "Everything small: 3 updates of a narrow model with a sublayer of each kind, from "
    "random initial values. --set is applied to the result.",
)
_DEVICES = flags.DEFINE_integer("devices", None, "Devices to use (default: all).")
_WORKERS = flags.DEFINE_integer(
    "workers", 0, "Processes that make batches (0: a thread).", lower_bound=0
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "For several hosts: address:port of the first, or 'auto' on a cluster that tells.",
)
_HOSTS = flags.DEFINE_integer("hosts", None, "Number of hosts.")
_HOST = flags.DEFINE_integer("host", None, "Which of them this is, from 0.")


def main() -> None:
    from xabl.pretraining import launch

    hosts = None
    if _COORDINATOR.value is not None:
        hosts = launch.Hosts(
            coordinator=_COORDINATOR.value, count=_HOSTS.value, this=_HOST.value
        )
    finished = launch.run(
        launch.resolve(_CONFIG.value, _SET.value, is_toy=_TOY.value),
        Path(_WORKDIR.value),
        num_devices=_DEVICES.value,
        num_workers=_WORKERS.value,
        hosts=hosts,
    )
    if not finished:
        sys.exit(launch.START_AGAIN)


if __name__ == "__main__":
    binary.run(main)
