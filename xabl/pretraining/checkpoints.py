"""The training state on disk: written in the background, whole or not at all.

Orbax writes a checkpoint into a temporary folder and renames it. A list of its files
with sizes and digests is added then, so that a damaged checkpoint (an interrupted copy,
a full disk, a failing one) is found before it is read.
"""

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from xabl.errors import UserError
from xabl.support import checksums, lease
from xabl.support.atomic import new_file
from xabl.support.files import from_json, read_bytes

_FILES = "files.json"


class Checkpoints:
    """The checkpoints of one run; a context manager. All hosts make the same calls."""

    def __init__(
        self, directory: Path, *, keep_last: int, keep_every: int | None = None
    ):
        """Opens the folder; ends removals, drops half a save, sets damaged ones aside.

        Args:
            directory: made if it does not exist.
            keep_last: number of newest checkpoints to keep.
            keep_every: checkpoints of every multiple of this step are kept, too.
        """
        self._directory = directory.absolute()
        self._keep_last, self._keep_every = keep_last, keep_every
        self._saving: tuple[int, Any] | None = None
        damaged = {}
        if jax.process_index() == 0:
            for folder in self._directory.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(folder)
            damaged = _damaged(self._directory)
            for step in self._half_removed(damaged):
                shutil.rmtree(self._directory / str(step))
                damaged.pop(step, None)
        self._set_aside(damaged)
        self._orbax = self._open()

    def save(self, step: int, state: Any, position: dict[str, Any]) -> None:
        """Starts a save; the state may be donated as soon as this returns.

        Args:
            step: number of updates made.
            state: a tree of jax arrays.
            position: the position in the data, as JSON.

        Raises:
            UserError: the save before failed, for example on a full disk.
            Lost: another process trains here now.
        """
        lease.check()
        self.settle()
        if step in self.steps:
            return
        response = self._orbax.save_async(
            step,
            _by_name(state),
            force=True,  # otherwise Orbax skips a save during another
            custom_metadata={"position": position},
        )
        self._saving = (step, response)

    def settle(self, wait: bool = True) -> None:
        """Ends the last save: raises if it failed.

        Args:
            wait: for the save to finish; otherwise returns while it is running.

        Raises:
            UserError: the save failed.
        """
        if self._saving is None:
            return
        if not wait and self._orbax.is_saving_in_progress():
            return
        step, response = self._saving
        self._saving = None
        try:
            response.result()
            if jax.process_index() == 0:
                _list_files(self._directory / str(step))
        except lease.Lost:
            raise
        except Exception as error:  # Orbax passes on whatever its writers raised
            raise UserError(
                f"checkpoint {step} cannot be written to {self._directory} "
                f"({_first_line(error)}); {self.advice} Make room, then start again "
                "with the same command"
            ) from error

    @property
    def steps(self) -> list[int]:
        """Steps of the checkpoints in order, one that is being written included."""
        return [checkpoint.step for checkpoint in self._orbax.checkpoints]

    @property
    def advice(self) -> str:
        """A sentence that names the last good checkpoint."""
        for step in reversed(self.steps):
            folder = self._directory / str(step)
            if (folder / "commit_success.txt").exists():
                return f"The last good checkpoint is {folder}."
        return "No checkpoint was written before."

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """The newest readable checkpoint: the state and the position in the data.

        A damaged one is named and moved aside, and the one before is taken. None if
        there is none.

        Args:
            like: the tree of the state; its leaves are `jax.ShapeDtypeStruct`s with a
                sharding.
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
            except Exception as error:  # a damaged file can raise anything
                folder = self._directory / str(step)
                if (folder / _FILES).is_file():  # its bytes were compared
                    raise UserError(
                        f"checkpoint {folder} is not damaged, but cannot be restored "
                        f"({_first_line(error)}); is there memory for it? Start again "
                        "with the same command"
                    ) from error
                self._orbax.close()
                self._set_aside({step: _first_line(error)})
                self._orbax = self._open()
        return None

    def close(self) -> None:
        """Waits for the last save."""
        self.settle()
        self._orbax.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        if kind is None:
            self.close()
            return
        with contextlib.suppress(Exception):  # the first error is the one to report
            self._orbax.close()

    def _open(self) -> ocp.training.Checkpointer:
        policies = ocp.training.preservation_policies
        kept = [policies.LatestN(self._keep_last)]
        if self._keep_every is not None:
            kept.append(policies.EveryNSteps(self._keep_every))
        return ocp.training.Checkpointer(
            self._directory,
            preservation_policy=policies.AnyPreservationPolicy(kept),
            # Orbax cleans up in a thread, which outlives a run that fails at once.
            cleanup_tmp_directories=False,
        )

    def _half_removed(self, damaged: Collection[int]) -> list[int]:
        """Checkpoints that newer ones have replaced, and of which files are missing.

        Orbax removes such a one file by file; the run was killed meanwhile.
        """
        folders = _folders(self._directory)
        readable = folders.keys() - set(damaged)
        return [
            step
            for step, folder in folders.items()
            if (step in damaged or not (folder / _FILES).is_file())
            and sum(newer > step for newer in readable) >= self._keep_last
            and not (self._keep_every and step % self._keep_every == 0)
        ]

    def _set_aside(self, damaged: dict[int, str]) -> None:
        """Moves damaged checkpoints to a folder beside, and reports it."""
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


def _by_name(state: Any) -> dict[str, Any]:
    """The leaves of any tree under names that are the same in every run."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _folders(directory: Path) -> dict[int, Path]:
    """Checkpoints by their steps, called as Orbax calls them; others are somebody's."""
    return {
        int(folder.name): folder
        for folder in directory.glob("*")
        if re.fullmatch("0|[1-9][0-9]*", folder.name)
    }


def _damaged(directory: Path) -> dict[int, str]:
    """Checkpoints whose files changed since they were listed, with what is wrong.

    A run killed between Orbax's rename and the list leaves a checkpoint without one.
    """
    damaged = {}
    for step, folder in sorted(_folders(directory).items()):
        if not (folder / _FILES).is_file():
            continue
        try:
            expected = from_json(read_bytes(folder / _FILES).decode())
        except ValueError:
            damaged[step] = f"{_FILES} is cut off"
            continue
        problem = checksums.problem(folder, expected)
        if problem:
            damaged[step] = problem
    return damaged


def _list_files(folder: Path) -> None:
    if not folder.is_dir():  # replaced by newer ones already
        return
    with new_file(folder / _FILES, overwrite=True) as temporary:
        files = checksums.listed(folder, lambda path: _FILES not in path.name)
        temporary.write_text(json.dumps(files), encoding="utf-8")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300] or type(error).__name__
