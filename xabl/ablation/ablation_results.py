"""What one ablation found, before it is written and in words."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from xabl.ablation.engine.unfinished import KeptScores
from xabl.errors import UserError
from xabl.results.directory import ResultsDirectory
from xabl.results.format import FILES, SCORES
from xabl.results.published import PublishedRow
from xabl.results.reading import read_file, read_manifest
from xabl.results.summary import (
    SummaryRow,
    changes,
    summarise,
    summary_text,
    summary_tsv,
)
from xabl.results.yardsticks import warnings, yardsticks_text
from xabl.support import lease


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblationResults:
    """What one ablation found: what a results directory holds, before it is written.

    tables: by the name of their file.
    published: the published means of the same model and examples, if there are any.
    """

    label: str
    tables: Mapping[str, pa.Table]
    manifest: Mapping[str, Any]
    published: PublishedRow | None

    @property
    def summary(self) -> tuple[SummaryRow, ...]:
        """Means of every condition, in bits."""
        return summarise(self.tables[SCORES.name])

    @property
    def text(self) -> str:
        """Means and changes for people, what was published, and what guessing loses.

        Its first lines say so where the model is no better than guessing.
        """
        changed = changes(self.tables[SCORES.name])
        table = summary_text(self.summary, self.published, changed)
        first = (*warnings(self.manifest), self.label)
        parts = (*first, table, yardsticks_text(self.manifest))
        return "\n".join(part for part in parts if part)

    def write(self, directory: ResultsDirectory) -> None:
        """Writes all files.

        Raises:
            UserError: the directory cannot be written.
        """
        text = summary_tsv(self.label, self.summary)
        directory.write(self.tables, text, self.manifest)

    def put_in_place(self, directory: ResultsDirectory, kept: KeptScores) -> None:
        """Writes all files, which take the place of the scores kept until then.

        Raises:
            UserError: as `write`; the scores are still there.
        """
        try:
            self.write(directory)
        except lease.Lost:
            raise  # nothing may be written any more, so nothing is to be resumed here
        except UserError as error:
            if not kept.exist:  # they went with their folder
                raise
            raise UserError(
                f"{error}; the scores are kept: run again with --resume"
            ) from error
        kept.discard()

    @classmethod
    def read(cls, directory: ResultsDirectory) -> "AblationResults":
        """Results that were written before.

        Raises:
            UserError: a file cannot be read.
        """
        about = read_manifest(directory.path)
        return cls(
            label=about["model"]["label"],
            tables={
                file.name: read_file(directory.path, file)
                for file in FILES
                if (directory.path / file.name).is_file()
            },
            manifest=about,
            published=None,
        )
