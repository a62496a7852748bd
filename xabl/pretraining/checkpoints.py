"""The training state on disk: written in the background, whole or not at all.

Orbax writes a checkpoint into a temporary folder and renames it. Afterwards a list of
its files and their sizes is put into it, by which a checkpoint that lost something
(an interrupted copy, a full disk) is recognised before it is read.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from xabl.errors import UserError
from xabl.support.atomic import new_file

_FILES = "files.json"


class Checkpoints:
    """The checkpoints of one run; a context manager. All hosts make the same calls."""

    def __init__(
        self, directory: Path, *, keep_last: int, keep_every: int | None = None
    ):
        """Opens the folder, removes what an interrupted save left in it.

        Args:
            directory: made if it is not there.
            keep_last: newest checkpoints to keep.
            keep_every: checkpoints of steps that are a multiple of it are kept, too.
        """
        self._directory = directory.absolute()
        self._keep_last, self._keep_every = keep_last, keep_every
        self._saving: tuple[int, Any] | None = None
        if jax.process_index() == 0:
            _remove_half_written(self._directory)
        self._set_aside(_damaged(self._directory))
        self._orbax = self._open()

    def save(self, step: int, state: Any, position: dict[str, Any]) -> None:
        """Starts writing; the state may be donated as soon as this returns.

        Args:
            step: number of updates made.
            state: a tree of jax arrays.
            position: in the data (JSON).

        Raises:
            UserError: the last save failed, as on a full disk.
        """
        self.settle()
        if step in self.steps:
            return
        response = self._orbax.save_async(
            step, _by_name(state), custom_metadata={"position": position}
        )
        self._saving = (step, response)

    def settle(self, wait: bool = True) -> None:
        """Ends a save: it has succeeded, or this raises.

        Args:
            wait: otherwise returns at once if the save is still going on.

        Raises:
            UserError: the save failed.
        """
        if self._saving is None or not (wait or self._orbax_is_idle()):
            return
        step, response = self._saving
        self._saving = None
        try:
            response.result()
            if jax.process_index() == 0:
                _list_files(self._directory / str(step))
        except Exception as error:  # Orbax passes on whatever its writers raised
            raise UserError(
                f"checkpoint {step} cannot be written to {self._directory} "
                f"({_first_line(error)}); {self.advice} Make room, then start again "
                "with the same command"
            ) from error

    @property
    def steps(self) -> list[int]:
        """Steps whose checkpoints are there, in order; being written counts."""
        return [checkpoint.step for checkpoint in self._orbax.checkpoints]

    @property
    def advice(self) -> str:
        """Which checkpoint is there to go on from, as a sentence."""
        steps = [step for step in self.steps if self._is_complete(step)]
        if not steps:
            return "No checkpoint was written before."
        return f"The last good checkpoint is {self._directory / str(steps[-1])}."

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """The newest checkpoint that can be read, as (state, position in the data).

        A damaged one is named, moved to a folder beside, and the one before is taken.

        Args:
            like: the tree of the state, with `jax.ShapeDtypeStruct` leaves that have
                a sharding.
        """
        while self.steps:
            step = self.steps[-1]
            try:
                named = self._orbax.load(step, _by_name(like))
                position = self._orbax.metadata(step).custom_metadata["position"]
                leaves = [named[name] for name in _by_name(like)]
                if jax.process_index() == 0:
                    _list_files(self._directory / str(step))
                return jax.tree.unflatten(jax.tree.structure(like), leaves), position
            except Exception as error:  # a damaged file may show in any way
                self._orbax.close()
                self._set_aside({step: _first_line(error)})
                self._orbax = self._open()
        return None

    def close(self) -> None:
        """Waits for what is being written."""
        self.settle()
        self._orbax.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        if kind is None:
            self.close()
            return
        try:
            self._orbax.close()
        except Exception:  # the first error is the one to report
            pass

    def _open(self) -> ocp.training.Checkpointer:
        policies = ocp.training.preservation_policies
        kept = [policies.LatestN(self._keep_last)]
        if self._keep_every is not None:
            kept.append(policies.EveryNSteps(self._keep_every))
        return ocp.training.Checkpointer(
            self._directory,
            save_decision_policy=_Always(),
            preservation_policy=policies.AnyPreservationPolicy(kept),
            # Orbax would do it in a thread that outlives a run that fails at once.
            cleanup_tmp_directories=False,
        )

    def _orbax_is_idle(self) -> bool:
        return not self._orbax.is_saving_in_progress()

    def _is_complete(self, step: int) -> bool:
        return (self._directory / str(step) / "commit_success.txt").exists()

    def _set_aside(self, damaged: dict[int, str]) -> None:
        """Moves damaged checkpoints away and says so."""
        if jax.process_index() == 0:
            for step, problem in damaged.items():
                folder = self._directory / str(step)
                aside = self._directory.with_name("damaged_checkpoints") / str(step)
                aside.parent.mkdir(exist_ok=True)
                shutil.rmtree(aside, ignore_errors=True)
                os.rename(folder, aside)
                print(
                    f"checkpoint {step} is damaged ({problem}); it is now {aside}, and "
                    "the run goes back to the one before",
                    file=sys.stderr,
                    flush=True,
                )
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("damaged checkpoints set aside")


class _Always:
    """Saves whenever asked; Orbax's own policy skips what comes during a save."""

    def should_save(self, step, previous_steps=(), *, context) -> bool:
        del step, previous_steps, context
        return True


def _by_name(state: Any) -> dict[str, Any]:
    """The leaves of any tree under names that stay the same from run to run."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _remove_half_written(directory: Path) -> None:
    """What Orbax had not yet renamed when its process was killed."""
    for folder in directory.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(folder)


def _damaged(directory: Path) -> dict[int, str]:
    """Checkpoints whose files are not as they were written, with what is wrong."""
    damaged = {}
    for folder in _folders(directory):
        problem = _problem(folder)
        if problem is not None:
            damaged[int(folder.name)] = problem
    return damaged


def _folders(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        for folder in sorted(directory.iterdir()):
            if re.fullmatch(r"\d+", folder.name):
                yield folder


def _problem(folder: Path) -> str | None:
    """None for a checkpoint that nobody listed: killed right after its rename."""
    try:
        expected = json.loads((folder / _FILES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return f"{_FILES} is cut off"
    found = _sizes(folder)
    for name, size in expected.items():
        if found.get(name) != size:
            return f"{name}: {found.get(name, 'no')} bytes instead of {size}"
    return None


def _list_files(folder: Path) -> None:
    if not folder.is_dir():  # already replaced by newer ones
        return
    with new_file(folder / _FILES, overwrite=True) as temporary:
        temporary.write_text(json.dumps(_sizes(folder)), encoding="utf-8")


def _sizes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _FILES not in path.name
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300] or type(error).__name__
