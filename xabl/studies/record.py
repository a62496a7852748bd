"""What a study's folder says about its runs, for whoever only watches."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xabl.errors import UserError, reason
from xabl.studies.jobs import Job, OnProgress
from xabl.support.atomic import new_file
from xabl.support.files import read_bytes

_FILE = "runs.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recorded(Job):
    """A job as its study noted it: it can be looked at, not done.

    finished: a file that says of which key the results beside it are.
    """

    name: str
    key: str
    finished: Path
    after: tuple[str, ...]
    is_alone: bool
    work: float
    alike: str = ""

    def is_done(self) -> bool:
        return key_in(self.finished) == self.key

    def do(self, desk: dict[str, Any], on_progress: OnProgress) -> None:
        raise NotImplementedError


def key_in(path: Path) -> str | None:
    """Of which run a file is: a manifest of results, or of scores that were kept.

    None if it is not there; "" if it is of no study.

    Raises:
        UserError: its disk fails: who took it for absent would do the run again.
    """
    try:
        content = json.loads(read_bytes(path))
        return content.get("identity", content).get("study_key", "")
    except OSError:
        return None
    except (ValueError, AttributeError):
        return "damaged"


def is_studys(folder: Path) -> bool:
    """Whether a study was begun in a folder."""
    return (folder / _FILE).exists()


def write_record(folder: Path, jobs: Iterable[Recorded]) -> None:
    """Notes the runs of a study."""
    rows = [{**dataclasses.asdict(job), "finished": str(job.finished)} for job in jobs]
    with new_file(folder / _FILE, overwrite=True) as temporary:
        temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def read_record(folder: Path) -> list[Job]:
    """The runs of the study whose folder it is.

    Raises:
        UserError: no study was begun there.
    """
    try:
        rows = json.loads(read_bytes(folder / _FILE))
        return [
            Recorded(
                **{
                    **row,
                    "finished": Path(row["finished"]),
                    "after": tuple(row["after"]),
                }
            )
            for row in rows
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"--output={folder}: no study was begun there ({reason(error)})"
        ) from error
