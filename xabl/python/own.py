"""The ablation of a model that is a function of one's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xabl.ablation.any_input import AnyInput
from xabl.ablation.any_model import Model
from xabl.ablation.asked import made_of
from xabl.ablation.own import run
from xabl.ablation.own.options import OwnRun
from xabl.python.scores import Scores
from xabl.results.conditions import THRESHOLDS


def ablate_function(
    model: Model, *, vocabulary: Path | str, lower_case: bool = True, **options: Any
) -> Scores:
    """Ablates a function from words and regions to logits.

    Args:
        model: called with `Words` and `Regions` of numpy arrays; returns `Logits` of
            any array library (`xabl.ablation.any_model`).
        vocabulary: vocab.txt of its word pieces.
        lower_case: whether they are of text in lower case.
        options: as for `ablate_anything`.

    Raises:
        UserError: a file is missing or damaged, logits have another shape than they
            should, or are not finite.
    """
    return Scores(
        run.ablate_function(
            model,
            _own_run(vocabulary=vocabulary, lower_case=lower_case, **options),
        )
    )


def ablate_anything(
    model: AnyInput, *, images: Path | str | None = None, **options: Any
) -> Scores:
    """Ablates a function that is told what an ablation is, and reads what it likes.

    Args:
        model: called with a list of `Ablation`; returns an answer to each
            (`xabl.ablation.any_input`).
        images: folder of <image id>.jpg or .png.
        label: what the model is called.
        hides: in a sentence, how the model hides what it must not see.
        entities: directory of Flickr30k Entities; split: which list of images.
        regions: file of image regions; None for a model that sees no image.
        about: what else its scores depend on, a checkpoint say: kept with the results,
            and compared before an interrupted run is continued.
        output: the results directory. Scores are kept beside it while they are made;
            resume=True continues a run that was interrupted, overwrite=True begins
            again. None: everything stays in memory.
        batch_size: how many inputs the model is given at once, at most.
        target: the visual target of its classes, as in configuration files: "0", the
            detector's 1601 with the background first, unless said otherwise.
        directions, thresholds, replace, replace_seed, limit, skip_bad_examples,
            save_predictions, model_seed: as for `ablate`.

    Raises:
        UserError: a file is missing or damaged, or an answer is none.
    """
    return Scores(run.ablate_anything(model, _own_run(images=images, **options)))


def _own_run(
    *,
    label: str,
    hides: str,
    entities: Path | str,
    regions: Path | str | None = None,
    split: str = "val",
    about: Mapping[str, Any] | None = None,
    output: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    batch_size: int = 16,
    target: str = "0",
    directions: Sequence[str] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    replace: Sequence[str] = (),
    replace_seed: int = 0,
    limit: int | None = None,
    skip_bad_examples: bool = False,
    save_predictions: int = 0,
    model_seed: int | None = None,
    vocabulary: Path | str | None = None,
    lower_case: bool = True,
    images: Path | str | None = None,
) -> OwnRun:
    asked = {
        "label": label,
        "hides": hides,
        "entities": entities,
        "regions": regions,
        "split": split,
        "output": output,
        "overwrite": overwrite,
        "resume": resume,
        "batch_size": batch_size,
        "target": target,
        "directions": directions,
        "thresholds": thresholds,
        "replace": replace,
        "replace_seed": replace_seed,
        "limit": limit,
        "skip_bad_examples": skip_bad_examples,
        "save_predictions": save_predictions,
        "model_seed": model_seed,
        "images": images,
        "lower_case": lower_case,
        "vocab": vocabulary,
        "about": dict(about or {}),
    }
    return made_of(OwnRun, asked)
