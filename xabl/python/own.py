"""The ablation of a model that is a function of one's own."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xabl.ablation.any_input import AnyInput
from xabl.ablation.any_model import Model
from xabl.ablation.asked import made_of
from xabl.ablation.options import OwnRun
from xabl.ablation.own import run
from xabl.errors import UserError
from xabl.python.arguments import checked
from xabl.python.scores import Scores

_OF_OURS = ("model", "vocab", "gold_labels", "vlbert_positions")  # of no other model


@checked(OwnRun, without=(*_OF_OURS, "images"), vocabulary="vocab")
def ablate_function(model: Model, *, vocabulary: Path | str, **options: Any) -> Scores:
    """Ablates a function from words and regions to logits.

    Args:
        model: called with `Words` and `Regions` of numpy arrays; returns `Logits` of
            any array library (`xabl.ablation.any_model`).
        vocabulary: vocab.txt of its word pieces.
        lower_case: whether they are of text in lower case.
        save_predictions: how many of the most probable ones are kept.
        options: as for `ablate_anything`.

    Raises:
        UserError: an argument is missing or wrong, a file is missing or damaged; logits
            have another shape than they should, or are not finite.
    """
    _check_takes(model, "words", "regions")
    return Scores(
        run.ablate_function(model, made_of(OwnRun, options | {"vocab": vocabulary}))
    )


@checked(OwnRun, without=(*_OF_OURS, "lower_case", "save_predictions"))
def ablate_anything(model: AnyInput, **options: Any) -> Scores:
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
        mismatch: what to do when regions, captions and model do not seem to belong
            together, as for `ablate`.
        directions, thresholds, replace, replace_seed, limit, skip_bad_examples,
            class_names, attribute_names, tagger, model_seed: as for `ablate`.

    Raises:
        UserError: an argument is missing or wrong, a file is missing or damaged, or an
            answer is none.
    """
    _check_takes(model, "ablations")
    return Scores(run.ablate_anything(model, made_of(OwnRun, options)))


def _check_takes(model: Callable[..., Any], *names: str) -> None:
    """Raises a UserError unless a function can be called with so many arguments."""
    try:
        inspect.signature(model).bind(*names)
    except ValueError:
        pass  # not written in Python: nothing is known of it
    except TypeError as error:
        raise UserError(
            f"the model is called with {' and '.join(names)}, but takes others: {error}"
        ) from error
