"""From a command line to a run: its configuration, its hosts, its devices."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax

from xabl.data.word_pieces import read_vocabulary
from xabl.errors import UserError
from xabl.pretraining import configuration
from xabl.pretraining.configuration import PretrainingConfig
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.devices import Devices
from xabl.pretraining.small_models import toy
from xabl.pretraining.train import pretrain
from xabl.support.compilation_cache import use_compilation_cache

# EX_TEMPFAIL, the exit status of a run that was asked to stop: everything is saved, the
# same command continues. Schedulers can restart a job that ends with it.
START_AGAIN = 75


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """The hosts of a run on several of them.

    coordinator: address:port of host 0; "auto" where the cluster knows it (TPU pods,
        Slurm, Open MPI).
    count: number of hosts; None with "auto".
    this: number of this host, from 0; None with "auto".
    """

    coordinator: str
    count: int | None = None
    this: int | None = None

    def __post_init__(self) -> None:
        given = (self.count is not None, self.this is not None)
        if self.coordinator != "auto" and not all(given):
            raise UserError(
                f"--coordinator={self.coordinator}: --hosts and --host are needed too"
            )

    def connect(self) -> None:
        """Waits for all hosts; before anything else is asked of JAX."""
        auto = self.coordinator == "auto"
        try:
            jax.distributed.initialize(
                coordinator_address=None if auto else self.coordinator,
                num_processes=self.count,
                process_id=self.this,
            )
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"--coordinator={self.coordinator}: the hosts did not find each other "
                f"({str(error)[:200]})"
            ) from error


def resolve(
    name: Path | str, overrides: Sequence[str] = (), *, is_toy: bool = False
) -> PretrainingConfig:
    """The configuration of a run.

    Args:
        name: a published run, or a configuration file.
        overrides: "field=value", applied last.
        is_toy: replaces the run by `toy` of it, for the corpus and vocabulary that it
            names after the overrides.

    Raises:
        UserError: see `configuration.load`; or the toy's data cannot be read.
    """
    config = configuration.load(name, overrides)
    if not is_toy:
        return config
    small = toy(
        configuration.load(name),
        vocab_size=len(read_vocabulary(Path(config.vocabulary))),
        feature_size=Corpus(config.corpus, config.train_split).feature_size,
    )
    return configuration.overridden(small, overrides)


def run(
    config: PretrainingConfig,
    workdir: Path,
    *,
    num_devices: int | None = None,
    num_workers: int = 0,
    hosts: Hosts | None = None,
) -> bool:
    """Connects the hosts and trains; True when the run is finished.

    Raises:
        UserError: the hosts do not find each other; or see `pretrain`.
    """
    use_compilation_cache()
    if hosts is not None:
        hosts.connect()
    devices = Devices.all(num_devices)
    return pretrain(config, workdir, devices=devices, num_workers=num_workers)
