"""What `experiments.pretrain` runs: configuration, hosts, devices, then training."""

import dataclasses
from pathlib import Path

import jax

from xabl.errors import UserError
from xabl.pretraining import configuration
from xabl.pretraining.configuration import PretrainingConfig
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.devices import Devices
from xabl.pretraining.toy import toy
from xabl.pretraining.train import pretrain
from xabl.support.compilation_cache import use_compilation_cache


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """Who takes part in a run on several hosts.

    coordinator: address:port of host 0, or "auto" where the cluster tells (TPU pods,
        Slurm, Open MPI). count, this: number of hosts, and which one this is.
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """See the flags of `experiments.pretrain`."""

    config: Path
    workdir: Path
    overrides: tuple[str, ...] = ()
    is_toy: bool = False
    num_devices: int | None = None
    num_workers: int = 0
    hosts: Hosts | None = None


def run(command: Command) -> bool:
    """Trains; True when the run is finished, False when it was asked to stop.

    Raises:
        UserError: see `pretrain`.
    """
    config = resolve(command)
    use_compilation_cache()
    if command.hosts is not None:
        command.hosts.connect()
    return pretrain(
        config,
        command.workdir,
        devices=Devices.all(command.num_devices),
        num_workers=command.num_workers,
    )


def resolve(command: Command) -> PretrainingConfig:
    """The configuration: the file's, then --toy, then the overrides."""
    config = configuration.load(command.config, command.overrides)
    if not command.is_toy:
        return config
    corpus = Corpus(config.corpus, config.train_split)
    try:
        with open(config.vocabulary, "rb") as lines:
            vocab_size = sum(1 for _ in lines)
    except OSError as error:
        raise UserError(f"vocabulary: {error}; set vocabulary=PATH") from error
    config = toy(
        configuration.load(command.config),
        vocab_size=vocab_size,
        feature_size=corpus.feature_size,
    )
    for override in command.overrides:
        config = configuration.overridden(config, override)
    return config
