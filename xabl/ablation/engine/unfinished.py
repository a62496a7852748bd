"""Scores of a run under way, kept so that an interrupted one can be continued."""

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xabl.ablation.engine.pair_scores import AblationScores, put_scores
from xabl.ablation.plan import Plan
from xabl.errors import UserError
from xabl.results.conditions import Direction
from xabl.results.directory import differences
from xabl.support import lease
from xabl.support.files import from_json, read_bytes

_RUN = "run.json"
_SECONDS_BETWEEN_PARTS = 30.0


class NotKept(UserError):
    """Scores cannot be written to disk; those written before are whole."""


class KeptScores:
    """A folder of parts, each the scores of some pairs; every part is whole.

    The folder says which run it belongs to: files, flags and parameters by hash.
    """

    def __init__(self, folder: Path, writer: str = ""):
        """Looks at nothing yet.

        Args:
            writer: sets the names of parts apart where several processes write.
        """
        self.folder, self._writer = folder, writer
        self._waiting: list[tuple[Direction, np.ndarray, dict[str, np.ndarray]]] = []
        self._last_part = time.monotonic()

    @property
    def exist(self) -> bool:
        return (self.folder / _RUN).is_file()

    def begin(self, run: Mapping[str, Any]) -> None:
        """Discards what was kept and starts again.

        Raises:
            NotKept: the folder cannot be written.
            Lost: another process scores them now.
        """
        try:
            lease.check()
            self.discard()
            self.folder.mkdir(parents=True)
            _write(self.folder / _RUN, json.dumps(run, indent=1).encode())
        except OSError as error:
            self.discard()
            raise self._not_kept(error, "make room or choose another output") from error

    def load(self, run: Mapping[str, Any], plan: Plan) -> AblationScores:
        """What was kept of this run.

        Raises:
            UserError: it was another run; names what differs.
        """
        try:
            before = from_json(read_bytes(self.folder / _RUN).decode())
            differing = differences(before, run)
        except (ValueError, AttributeError) as error:
            raise UserError(
                f"{self.folder}: {_RUN} is damaged ({error}), so nobody knows whose "
                "scores are kept here; start again with --overwrite"
            ) from error
        if differing:
            raise UserError(
                f"{self.folder}: scores of another run are kept here ({differing}); "
                "give the same flags and files, or start again with --overwrite"
            )
        scores = {direction: {} for direction in Direction}
        for path in sorted(self.folder.glob("part-*.npz")):
            try:  # the archive has a checksum of every array
                with open(path, "rb") as file, np.load(file) as part:
                    arrays = dict(part)
                direction = Direction(str(arrays.pop("direction")))
                pairs = arrays.pop("pairs")
            except Exception as error:  # a damaged one may show in any way
                print(
                    f"{path}: damaged ({str(error)[:200]}); its inputs are scored "
                    "again",
                    file=sys.stderr,
                )
                continue  # it stays: where memory is short, whole ones look so too
            put_scores(scores[direction], plan, direction, pairs, arrays)
        return AblationScores(plan=plan, pairs=scores)

    def add(
        self, direction: Direction, pairs: np.ndarray, values: Mapping[str, np.ndarray]
    ) -> None:
        """Keeps one step's scores, on disk within half a minute."""
        self._waiting.append((direction, pairs, dict(values)))
        if time.monotonic() - self._last_part > _SECONDS_BETWEEN_PARTS:
            self.flush()

    def flush(self) -> None:
        """Writes what is not on disk yet.

        Raises:
            NotKept: the disk is full, or the folder cannot be written any more.
            Lost: another process scores them now.
        """
        try:
            lease.check()
            self._flush()
        except OSError as error:
            cure = "make room and run again with --resume"
            raise self._not_kept(error, cure) from error

    def _not_kept(self, error: OSError, cure: str) -> NotKept:
        why = error.strerror or error
        if not self.folder.is_dir() and error.errno == errno.ENOENT:
            why, cure = "the folder was removed meanwhile", "give the command again"
        return NotKept(f"{self.folder}: scores cannot be kept ({why}); {cure}")

    def _flush(self) -> None:
        alike: dict = {}
        for direction, pairs, values in self._waiting:
            widths = tuple(value.shape[1:] for value in values.values())
            alike.setdefault((direction, widths), []).append({"pairs": pairs, **values})
        beginning = f"part-{self._writer}"
        numbered = f"{beginning}{'[0-9]' * 6}.npz"  # which somebody's copy is not
        written = [p.stem for p in self.folder.glob(numbered)]
        # No count: one that is taken away leaves a gap.
        number = 1 + max((int(s.removeprefix(beginning)) for s in written), default=-1)
        for (direction, _), steps in alike.items():
            arrays = {
                name: np.concatenate([step[name] for step in steps])
                for name in steps[0]
            }
            path = self.folder / f"{beginning}{number:06d}.npz"
            temporary = self.folder / f".{path.name}"  # savez insists on its suffix
            np.savez(temporary, direction=direction.value, **arrays)
            os.replace(temporary, path)
            number += 1
        self._waiting.clear()
        self._last_part = time.monotonic()

    def discard(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
