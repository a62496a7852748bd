"""The ablation of a whole split from Python."""

from pathlib import Path
from typing import Any

from xabl.ablation.ablation_results import AblationResults
from xabl.ablation.asked import made_of
from xabl.ablation.input_files import check_files
from xabl.ablation.options import RunOptions
from xabl.ablation.run import evaluate, told_of
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.python.arguments import checked
from xabl.python.frames import Frame, frame
from xabl.python.model import Model, load
from xabl.results.directory import ResultsDirectory
from xabl.results.format import EXAMPLES, PREDICTIONS, SCORES, WORDS
from xabl.results.losses import LOSSES

_OF_FILES = ("output", "overwrite", "resume", "images")  # of results that are written


class Scores:
    """What an ablation found; printed, it is the summary."""

    def __init__(self, results: AblationResults):
        self._results = results

    def frame(self) -> Frame:
        """A row for each example and condition, as in scores.parquet; nats."""
        return frame(self._results.tables[SCORES.name])

    def examples(self) -> Frame:
        """A row for each example: caption, phrase and boxes, as in examples.parquet."""
        return frame(self._results.tables[EXAMPLES.name])

    def words(self) -> Frame:
        """A row for each word piece predicted under each condition; nats.

        As in words.parquet: loss, rank and probability of the right piece, and the
        class of its word; of vision for language alone.

        Raises:
            UserError: no words were predicted.
        """
        if WORDS.name not in self._results.tables:
            raise UserError("no words were predicted; ablate with vis4lang")
        return frame(self._results.tables[WORDS.name])

    def predictions(self) -> Frame:
        """The most probable predictions, as in predictions.parquet.

        Raises:
            UserError: they were not kept.
        """
        if PREDICTIONS.name not in self._results.tables:
            raise UserError("no predictions were kept: save_predictions was 0")
        return frame(self._results.tables[PREDICTIONS.name])

    def summary(self) -> Frame:
        """A row for each condition: means in bits, examples scored and excluded."""
        rows = self._results.summary
        losses = [n for n in LOSSES if any(row.bits.get(n) is not None for row in rows)]
        return frame(
            {
                "direction": [row.condition.direction.value for row in rows],
                "condition": [row.condition.name for row in rows],
                **{name: [row.bits.get(name) for row in rows] for name in losses},
                "n": [row.scored for row in rows],
                "excluded": [row.excluded for row in rows],
            }
        )

    @checked()
    def save(self, output: Path | str, *, overwrite: bool = False) -> None:
        """Writes the results directory that `xabl ablate` writes; says what is next.

        Raises:
            UserError: results are there already and may not be replaced, or the folder
                cannot be written.
        """
        directory = ResultsDirectory(output, overwrite=overwrite)
        self._results.write(directory)
        print(told_of(directory))

    def __repr__(self) -> str:
        return self._results.text


@checked(RunOptions, without=("model", "vocab", *_OF_FILES))
def ablate(model: Model | Path | str, **options: Any) -> Scores:
    """Scores a model under every condition: what `xabl ablate` does, kept in memory.

    The options are the flags of the command; `xabl ablate --help` explains them.

    Args:
        model: loaded, or its directory.
        entities: directory of Flickr30k Entities.
        regions: file of image regions; None for a text-only model.

    Raises:
        UserError: a file is missing, damaged or not for this model; a value is none of
            those that a flag may have.
    """
    loaded = model if isinstance(model, Model) else None
    directory = Path(loaded.path if loaded else model)
    options |= {"model": directory, "vocab": loaded and loaded.vocabulary}
    asked = made_of(RunOptions, options)
    if loaded is None:
        check_files(asked.files, model_directory.load_config(directory))
        loaded = load(directory)
    return Scores(evaluate(asked, loaded.params))
