"""The ablation of a whole split from Python."""

from collections.abc import Sequence
from pathlib import Path

from xabl.ablation.ablation_results import AblationResults
from xabl.ablation.asked import run_options
from xabl.ablation.engine.device_regions import ImageToken
from xabl.ablation.engine.scorer import Precision
from xabl.ablation.examples import VlBertPositions
from xabl.ablation.input_files import check_files
from xabl.ablation.mismatch.findings import OnMismatch
from xabl.ablation.run import evaluate, told_of
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.python.arguments import checked
from xabl.python.frames import Frame, frame
from xabl.python.model import Model, load
from xabl.results.conditions import THRESHOLDS
from xabl.results.directory import ResultsDirectory
from xabl.results.format import EXAMPLES, PREDICTIONS, SCORES, WORDS
from xabl.results.losses import LOSSES


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


@checked()
def ablate(
    model: Model | Path | str,
    *,
    entities: Path | str,
    regions: Path | str | None = None,
    split: str = "val",
    directions: Sequence[str] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    replace: Sequence[str] = (),
    replace_seed: int = 0,
    limit: int | None = None,
    skip_bad_examples: bool = False,
    gold_labels: Path | str | None = None,
    class_names: Path | str | None = None,
    attribute_names: Path | str | None = None,
    tagger: str | None = None,
    vlbert_positions: str = VlBertPositions.REFERENCE_BATCH.value,
    image_token: str = ImageToken.PUBLISHED.value,
    precision: str = Precision.HIGHEST.value,
    batch_size: int | None = None,
    save_predictions: int = 5,
    devices: int | None = None,
    label: str | None = None,
    model_seed: int | None = None,
    mismatch: str = OnMismatch.STOP_IF_CERTAIN.value,
) -> Scores:
    """Scores a model under every condition: what `xabl ablate` does, kept in memory.

    The arguments are the flags of the command; `xabl ablate --help` explains them.

    Args:
        model: loaded, or its directory.
        entities: directory of Flickr30k Entities.
        regions: file of image regions; None for a text-only model.

    Raises:
        UserError: a file is missing, damaged or not for this model; a value is none of
            those that a flag may have.
    """
    loaded = model if isinstance(model, Model) else None
    asked = {
        "model": loaded.path if loaded else model,
        "vocab": loaded and loaded.vocabulary,
        "entities": entities,
        "regions": regions,
        "split": split,
        "directions": directions,
        "thresholds": thresholds,
        "replace": replace,
        "replace_seed": replace_seed,
        "limit": limit,
        "skip_bad_examples": skip_bad_examples,
        "gold_labels": gold_labels,
        "class_names": class_names,
        "attribute_names": attribute_names,
        "tagger": tagger,
        "vlbert_positions": vlbert_positions,
        "image_token": image_token,
        "precision": precision,
        "batch_size": batch_size,
        "save_predictions": save_predictions,
        "devices": devices,
        "label": label,
        "model_seed": model_seed,
        "mismatch": mismatch,
    }
    options = run_options(asked, output=None)
    if loaded is None:
        check_files(options.files, model_directory.load_config(model))
        loaded = load(model)
    return Scores(evaluate(options, loaded.params))
