"""The folder of a run: whose it is, and the models written into it.

config.json          the resolved configuration
initial_values.json  where each parameter came from
checkpoints/         training state, by number of updates
metrics.jsonl        losses of every update, speeds, validation, ablation
tensorboard/         the same as event files
epochs/<n>/          the model after epoch n, as a model directory
model/               the model at the end
"""

import fnmatch
import functools
import json
import multiprocessing
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from xabl.data.regions.description import RegionDescription
from xabl.errors import UserError, reason
from xabl.models import model_directory
from xabl.models.model import nest
from xabl.pretraining.configuration import (
    LOCATIONS,
    PretrainingConfig,
    differences,
    to_json,
)
from xabl.support.atomic import PARTIAL, new_file
from xabl.support.files import read_json

_CONFIG = "config.json"

# Fields that change how a run is watched and kept, not what it learns.
FREE_FIELDS = {
    "ablation",
    "checkpoint_every",
    "keep_last",
    "keep_epochs",
    "report_every",
}


def claim(workdir: Path, config: PretrainingConfig, *, may_move: bool = False) -> None:
    """Makes the folder, or checks that it belongs to this run.

    Args:
        may_move: whether files may be elsewhere than before: the caller knows that they
            hold the same.

    Raises:
        UserError: it is another run's, or cannot be written to.
    """
    path = workdir / _CONFIG
    resolved = to_json(config)
    if path.exists():
        there = read_json(
            path, "a run's configuration; if it is damaged, take a new workdir"
        )
        lines = [
            line
            for line in differences(there, resolved)
            if re.match(r"\w+", line)[0] not in FREE_FIELDS
            and not (may_move and line.split(":")[0] in LOCATIONS)
        ]
        if lines:
            raise UserError(
                f"{workdir} holds a run of another configuration; take another "
                "workdir, or the same configuration:\n  " + "\n  ".join(lines)
            )
    elif workdir.exists() and not _is_barely_begun(workdir):
        raise UserError(
            f"{workdir} holds something else (no config.json in it); take an empty "
            "folder"
        )
    if jax.process_count() > 1:  # no host writes before all have looked
        multihost_utils.sync_global_devices("workdir checked")
    if jax.process_index() == 0:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(workdir)
            write_json(path, resolved)
        except OSError as error:
            raise UserError(
                f"{workdir}: cannot be written to ({reason(error)}); take another "
                "workdir"
            ) from error


def check_there(workdir: Path) -> None:
    """Asks before anything is added: libraries would make the folders anew.

    Raises:
        UserError: the folder was removed while the run trained in it.
    """
    if jax.process_index() == 0 and not (workdir / _CONFIG).exists():
        raise UserError(
            f"{workdir}: was removed while the run trained in it, so nothing more is "
            "written there; give the same command again"
        )


def _is_barely_begun(workdir: Path) -> bool:
    """Whether there is nothing but what is left of a run killed at its first file."""
    names = (path.name for path in workdir.iterdir())
    return all(fnmatch.fnmatch(name, f".{_CONFIG}.*{PARTIAL}") for name in names)


def _remove_leftovers(workdir: Path) -> None:
    """Half-written files and models of a run that was killed."""
    for folder in (workdir, workdir / "epochs"):
        for path in folder.glob(f".*{PARTIAL}"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def export(
    config: PretrainingConfig,
    directory: Path,
    parameters: dict[str, jax.Array],
    *,
    updates: int,
    of_updates: int,
    regions: Callable[[], RegionDescription | None],
) -> None:
    """Writes the parameters, by path, as a model directory.

    Args:
        regions: describes those it is trained with.
    """
    if jax.process_index() != 0:
        return
    described = regions()
    params = nest(jax.tree.map(np.asarray, parameters))
    write = functools.partial(
        model_directory.save,
        directory,
        config.model,
        params,
        vocabulary=config.vocabulary,
        report={
            "kind": "pretraining",
            "run": config.name,
            "seed": config.seed,
            "updates": updates,
            "of_updates": of_updates,
            "configuration": to_json(config),
            model_directory.REGIONS: described and described.to_json(),
        },
        overwrite=True,
    )
    if jax.process_count() == 1:
        write()
        return
    # Orbax writes with all processes of a run together; a new one is alone.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=_leave_accelerators) as alone:
        alone.submit(write).result()


def _leave_accelerators() -> None:
    jax.config.update("jax_platforms", "cpu")


def write_json(path: Path, content: Any) -> None:
    with new_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
