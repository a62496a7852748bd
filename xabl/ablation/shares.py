"""One run by several processes: each scores its share of the pairs.

They have a folder in common, that of the kept scores. While they score, none waits for
another: when one dies, only what it had not yet written is lost. The first puts
everything together when the others have ended.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.schedule import TableSizes
from xabl.ablation.engine.unfinished import KeptScores
from xabl.errors import UserError
from xabl.support import lease
from xabl.support.files import read_bytes
from xabl.support.hosts import leave, together

_SECONDS_BETWEEN_LOOKS = 0.5


class Shares:
    """The processes of a run, of which this is one."""

    def __init__(self, folder: Path):
        """Asks JAX how many there are.

        Args:
            folder: of the kept scores; `hosts` in it says who is at work.
        """
        self.count, self.this = jax.process_count(), jax.process_index()
        self._folder, self._hosts = folder, folder / "hosts"

    @property
    def is_first(self) -> bool:
        """Whether this is the process that begins, and puts the shares together."""
        return self.this == 0

    @property
    def writer(self) -> str:
        """What this process calls its parts of the kept scores."""
        return f"{self.this}-" if self.count > 1 else ""

    def begin(self, evaluation: Evaluation) -> None:
        """What the first process does before any other may `agree`."""
        if self.count > 1:
            lease.check()
            shutil.rmtree(self._hosts, ignore_errors=True)
            self._hosts.mkdir()
            self._plan.write_text(json.dumps(_steps(evaluation)), encoding="utf-8")

    def agree(self, evaluation: Evaluation) -> None:
        """Makes all cut the plan into the same steps, those of the first.

        Raises:
            UserError: the processes have different numbers of devices.
        """
        if self.count == 1:
            return
        steps = json.loads(read_bytes(self._plan))
        if steps["devices"] != len(evaluation.devices):
            raise UserError(
                f"process {self.this} has {len(evaluation.devices)} devices, the first "
                f"{steps['devices']}; give all of them as many with --devices"
            )
        evaluation.batch_size = steps["batch_size"]
        tables = steps["tables"]
        evaluation.tables = tables and TableSizes(**tables)

    @contextlib.contextmanager
    def at_work(self, kept: KeptScores) -> Iterator[None]:
        """While the block runs this process is at its share; then it has done it."""
        if self.count == 1:
            yield
            return
        with contextlib.ExitStack() as stack:
            with together("beginning its share"):  # what was kept may grow then
                held = lease.acquire(self._lock(self.this), "scores its share")
                stack.enter_context(held)
            yield
            kept.flush()
            self._done(self.this).touch()
            if not self.is_first:
                leave()

    def wait(self) -> None:
        """Waits until all others have done their shares.

        Raises:
            UserError: some ended before; names them, once the others have ended.
        """
        left = {number for number in range(self.count) if number != self.this}
        who: dict[int, lease.Holder] = {}
        died: list[int] = []
        while left:
            for number in sorted(left):
                holders = lease.holders(self._lock(number))
                if holders:
                    who[number] = holders[0]
                    continue
                left.remove(number)
                if not self._done(number).exists():
                    died.append(number)
            time.sleep(_SECONDS_BETWEEN_LOOKS if left else 0)
        if died:
            named = "; ".join(
                f"process {n} ({who[n] if n in who else 'before it began'})"
                for n in died
            )
            raise Died(
                f"{self._folder}: {named} ended before its share was scored; what was "
                "scored is kept: run again with --resume"
            )

    @property
    def _plan(self) -> Path:
        return self._hosts / "steps.json"

    def _lock(self, number: int) -> Path:
        return self._hosts / f"at-work-{number}"

    def _done(self, number: int) -> Path:
        return self._hosts / f"done-{number}"


class Died(UserError):
    """A process of the run ended too early; the scores of the others are kept."""


def _steps(evaluation: Evaluation) -> dict[str, Any]:
    tables = evaluation.tables
    return {
        "batch_size": evaluation.batch_size,
        "devices": len(evaluation.devices),
        "tables": tables and {"words": tables.words, "regions": tables.regions},
    }
