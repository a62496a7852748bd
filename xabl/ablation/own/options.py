"""What is said of the ablation of a function of one's own."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xabl.ablation.input_files import InputFiles
from xabl.ablation.mismatch.findings import OnMismatch
from xabl.errors import check_range


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnRun:
    """What to evaluate, how, and where the results go.

    label: what the model is called.
    hides: in a sentence, how the model hides what it must not see; for readers.
    about: what else determines its scores (a checkpoint, say); anything JSON can hold.
    images: folder of <image id>.jpg or .png, for a model that reads pixels.
    target: the visual target of the classes it gives; a key of `VISUAL_TARGETS`.
    lower_case: whether its word pieces are of text in lower case.
    batch_size: how many inputs the function is given at once, at most.
    top: most probable predictions to keep for each target, where it gives logits.
    output: the results directory; None: results are kept in memory, and nothing of an
        interrupted run.
    seed: of its pretraining.
    on_mismatch: what to do when regions, captions and model do not seem to belong
        together.

    Raises:
        UserError: a number is too small.
    """

    files: InputFiles
    label: str
    hides: str
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    images: Path | None = None
    target: str = "0"
    lower_case: bool = True
    batch_size: int = 16
    top: int = 5
    output: Path | None = None
    overwrite: bool = False
    resume: bool = False
    seed: int | None = None
    on_mismatch: OnMismatch = OnMismatch.STOP_IF_CERTAIN

    def __post_init__(self):
        check_range("--batch_size", self.batch_size, 1)
        check_range("--save_predictions", self.top, 0)
