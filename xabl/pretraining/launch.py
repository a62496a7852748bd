"""From a command line to a run: its configuration, its hosts, its devices."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from xabl.data.word_pieces import read_vocabulary
from xabl.errors import from_system
from xabl.pretraining import configuration
from xabl.pretraining.configuration import PretrainingConfig
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.small_models import toy
from xabl.pretraining.train import pretrain
from xabl.support import lease
from xabl.support.atomic import folder_for
from xabl.support.compilation_cache import use_compilation_cache
from xabl.support.devices import Devices
from xabl.support.freed_memory import keep_freed
from xabl.support.hosts import connect

# EX_TEMPFAIL, the exit status of a run that was asked to stop: everything is saved, the
# same command continues. Schedulers can restart a job that ends with it.
START_AGAIN = 75


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


def start(
    config: PretrainingConfig,
    workdir: Path,
    *,
    num_devices: int | None = None,
    num_workers: int = 0,
    coordinator: str | None = None,
    num_hosts: int | None = None,
    host: int | None = None,
) -> bool:
    """Connects the hosts and trains; True when the run is finished.

    Args:
        config: the run.
        workdir: its folder.
        num_devices: devices to use; None takes all.
        num_workers: processes that make batches; 0 uses a thread.
        coordinator: for several hosts, address:port of host 0, or "auto" where the
            cluster knows it (TPU pods, Slurm, Open MPI).
        num_hosts: number of hosts; None with "auto".
        host: number of this host, from 0; None with "auto".

    Raises:
        UserError: the hosts do not find each other; or see `pretrain`.
    """
    use_compilation_cache()
    connect(coordinator, num_hosts, host)
    devices = Devices.all(num_devices)
    if devices.are_the_host:
        keep_freed()
    with (
        only_run(Path(workdir))
        if jax.process_index() == 0
        else contextlib.nullcontext()
    ):
        return pretrain(config, workdir, devices=devices, num_workers=num_workers)


@contextlib.contextmanager
def only_run(workdir: Path, patience: float = 0.0) -> Iterator[None]:
    """While the block runs nobody else trains in that folder.

    Args:
        patience: seconds to wait for another run that does.

    Raises:
        Held: another run does; names it.
        UserError: the folder cannot be written.
    """
    folder = workdir.absolute().with_name(f".{workdir.name}.lock")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(folder_for(workdir))
            stack.enter_context(lease.acquire(folder, patience=patience))
        except lease.Held as error:
            raise lease.Held(
                f"{workdir}: another run trains there ({error.holder}); wait until it "
                "has ended, or take another workdir",
                error.holder,
            ) from error
        except OSError as error:
            raise from_system(error, workdir, "cannot be written") from error
        yield
