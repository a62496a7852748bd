"""The directory of results: it appears when it is complete, or not at all."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xabl.errors import UserError
from xabl.results.format import MANIFEST, SUMMARY, UNFINISHED, manifest_text
from xabl.support import lease
from xabl.support.atomic import check_place, folder_for, new_directory
from xabl.support.files import read_json


class ResultsDirectory:
    """Where results go, and where a run under way keeps its scores."""

    def __init__(
        self, path: Path | str, *, overwrite: bool = False, resume: bool = False
    ):
        """Looks whether results may and can be written there.

        Raises:
            UserError: results are there already, or an interrupted run's scores, and
                neither flag says what to do with them; something else is there; the
                folder cannot be written.
        """
        self.path = Path(path).absolute()
        self.overwrite, self.resume = overwrite, resume
        if overwrite and resume:
            raise UserError("--overwrite and --resume: give one of them")
        self._check_path()
        if self.unfinished.exists() and not overwrite and not resume:
            raise UserError(
                f"{self.path}: an interrupted run's scores are kept beside it; "
                "continue it with --resume or start again with --overwrite"
            )
        self._check_writable()

    @contextlib.contextmanager
    def lock(self, patience: float = 0.0) -> Iterator[None]:
        """While the block runs nobody else writes there, on whatever machine.

        Args:
            patience: seconds to wait for another run that does.

        Raises:
            Held: another run does; names it.
        """
        folder = self.path.with_name(f".{self.path.name}.lock")
        with folder_for(self.path):
            try:
                held = lease.acquire(folder, patience=patience)
            except lease.Held as error:
                raise lease.Held(
                    f"{self.path}: another run is writing there ({error.holder}); wait "
                    "until it has ended, or choose another --output",
                    error.holder,
                ) from error
            with held:
                yield

    @property
    def unfinished(self) -> Path:
        """The folder beside it for the scores of a run under way."""
        return self.path.with_name(f".{self.path.name}{UNFINISHED}")

    @property
    def is_finished(self) -> bool:
        """Whether it holds results."""
        return (self.path / MANIFEST).is_file()

    def check_same(self, identity: Mapping[str, Any]) -> None:
        """Compares the finished results with the run that was to be continued.

        Raises:
            UserError: they are of another run; names what differs.
        """
        manifest = read_json(
            self.path / MANIFEST, "a manifest; replace it with --overwrite"
        )
        before = manifest.get("identity")
        differing = differences(before if isinstance(before, dict) else {}, identity)
        if differing:
            raise UserError(
                f"{self.path}: holds results of another run ({differing}); choose "
                "another --output or replace them with --overwrite"
            )

    def _check_path(self) -> None:
        check_place(self.path)
        if not self.path.exists() or (
            self.path.is_dir() and not any(self.path.iterdir())
        ):
            return
        if not self.is_finished:
            raise UserError(
                f"{self.path}: exists and holds no results of xabl ablate; "
                "choose another --output"
            )
        if not self.overwrite and not self.resume:
            raise UserError(
                f"{self.path}: holds results already; choose another --output or "
                "replace them with --overwrite"
            )

    def _check_writable(self) -> None:
        try:
            with folder_for(self.path):
                with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".xabl-"):
                    pass
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror}); choose another "
                "--output"
            ) from error

    def write(
        self,
        tables: Mapping[str, pa.Table],
        summary: str,
        manifest: Mapping[str, Any],
    ) -> None:
        """Puts finished results in place.

        Args:
            tables: by the name of their file.

        Raises:
            UserError: the disk is full or the folder not writable any more.
        """
        with new_directory(self.path, overwrite=True, holds=MANIFEST) as folder:
            for name, table in tables.items():
                pq.write_table(
                    table, folder / name, compression="zstd", write_page_checksum=True
                )
            (folder / SUMMARY).write_text(summary, encoding="utf-8")
            text = manifest_text(manifest)
            (folder / MANIFEST).write_text(text, encoding="utf-8")


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What sets two runs apart, in words; empty when nothing does."""
    now = json.loads(json.dumps(now))
    return "; ".join(
        f"{key} was {_short(before.get(key))}, is {_short(now.get(key))}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
