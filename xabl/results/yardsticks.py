"""What guessing loses, and whether a model with everything before it does better.

Of a model that does not, nothing is said of the direction (`guessing`): what ablation
changes in a guess is no use of a modality. Report, figures and terminal all ask here.

Uniform: all answers are given the same probability. Unigram: each has the probability
that its frequency in the split gives it. The unigram losses of the examples are
columns of examples.parquet (`unigram_column`), the means of both are in the manifest.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xabl.results.conditions import BASELINE, Direction
from xabl.results.format import SUSPICIONS, YARDSTICKS
from xabl.results.intervals import ImageBootstrap, no_interval
from xabl.results.losses import LOSSES, NATS_PER_BIT, STORED, main_loss, mean_bits

UNIGRAM_LOSSES = tuple(name for name in STORED if LOSSES[name].answers)
# What guessing words loses where a model has tokens of its own.
UNKNOWN_TOKENS = "what guessing words loses is not known, since its tokens are its own"


def unigram_column(loss: str) -> str:
    """Its unigram losses, in examples.parquet."""
    return f"unigram_{loss}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Yardstick:
    """One loss of a model that sees everything, beside guessing; bits.

    intact, unigram: means over the same examples.
    uniform: the same of the uniform guess; None: not known.
    low, high: 95% interval of intact - unigram, over images; NaN: too few.
    images: that the examples are of.
    """

    loss: str
    intact: float
    unigram: float
    uniform: float | None
    low: float
    high: float
    images: int

    @property
    def no_better(self) -> bool:
        """Whether nothing shows that the model is better than frequencies.

        Over too few images for an interval: whether its mean is no lower.
        """
        if math.isnan(self.high):
            return self.intact >= self.unigram
        return self.high >= 0

    def warning(self, label: str) -> str:
        """What the first line of every output says of a model that is no better."""
        loss, few = LOSSES[self.loss], no_interval(self.images)
        worse = (self.intact > self.unigram) if few else self.low > 0
        called = "worse" if worse else "no better"
        over = few or f"95% interval {self.low:+.3f} to {self.high:+.3f}"
        return (
            f"{label} is {called} than guessing by frequency: with nothing removed its "
            f"{loss.title} is {self.intact:.3f} bits, and such a guess loses "
            f"{self.unigram:.3f} (difference {self.intact - self.unigram:+.3f}; "
            f"{over}). What ablation changes says nothing about "
            f"{loss.direction.wording.title.lower()} in it."
        )


def yardsticks(
    scores: pa.Table, examples: pa.Table, uniform: Mapping[str, float]
) -> tuple[Yardstick, ...]:
    """Of every loss that was scored and whose unigram losses are known.

    Args:
        scores, examples: of the files of these names, losses in nats.
        uniform: by loss, what the uniform guess loses on average, in nats.
    """
    intact = scores.filter(pc.equal(scores["condition"], BASELINE))
    place = {number: row for row, number in enumerate(examples["example"].to_pylist())}
    found = []
    for name in UNIGRAM_LOSSES:
        column = unigram_column(name)
        if name not in scores.column_names or column not in examples.column_names:
            continue
        own = intact.filter(pc.equal(intact["direction"], LOSSES[name].direction.value))
        losses = own[name].to_numpy().astype(np.float64)
        rows = [place[number] for number in own["example"].to_pylist()]
        guessed = examples[column].to_numpy().astype(np.float64)[rows]
        known = np.isfinite(losses) & np.isfinite(guessed)
        if not known.any():
            continue
        images = np.array(own["image_id"].to_pylist(), object)[known].astype(str)
        bits = ((losses - guessed)[known] / NATS_PER_BIT)[:, None]
        draws = ImageBootstrap(images).means(bits)
        low, high = draws.interval()
        found.append(
            Yardstick(
                loss=name,
                intact=mean_bits(losses[known]),
                unigram=mean_bits(guessed[known]),
                uniform=uniform[name] / NATS_PER_BIT if name in uniform else None,
                low=float(low[0]),
                high=float(high[0]),
                images=int(draws.images[0]),
            )
        )
    return tuple(found)


def in_manifest(label: str, found: Iterable[Yardstick]) -> dict[str, Any]:
    """The manifest's field: by loss, in bits, and the warning there is to give."""
    found = tuple(found)
    scored = [yardstick.loss for yardstick in found]
    main = {main_loss(direction, scored) for direction in Direction}
    fields = {
        yardstick.loss: {
            **{
                name: None if value != value else value
                for name, value in dataclasses.asdict(yardstick).items()
                if name != "loss"
            },
            "warning": yardstick.warning(label)
            if yardstick.no_better and yardstick.loss in main
            else None,
        }
        for yardstick in found
    }
    return {YARDSTICKS: fields} if fields else {}


def of_manifest(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The field by loss; empty for results of earlier versions and other programs."""
    return dict(manifest.get(YARDSTICKS) or {})


def guessing(manifest: Mapping[str, Any]) -> frozenset[Direction]:
    """Of which directions nothing is said of a run: it does no better than a guess."""
    fields = of_manifest(manifest)
    return frozenset(LOSSES[n].direction for n in fields if fields[n]["warning"])


def warnings(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What the first lines of every output say of a run."""
    found = manifest.get(SUSPICIONS)
    lines = found if isinstance(found, list) else []
    label = manifest["model"]["label"]
    fields = of_manifest(manifest).values()
    return (
        *(f"{label}: suspicious: {line}" for line in lines),
        *(field["warning"] for field in fields if field["warning"]),
    )


def yardsticks_text(manifest: Mapping[str, Any]) -> str:
    """A line for each loss, for people."""
    lines = []
    for name, field in of_manifest(manifest).items():
        uniform = field["uniform"]
        guesses = [] if uniform is None else [f"all alike {uniform:.4f} bits"]
        guesses.append(f"by frequency (unigram) {field['unigram']:.4f} bits")
        lines.append(f"guessing, {LOSSES[name].title}: {', '.join(guesses)}")
    words = main_loss(Direction.VIS4LANG, STORED)
    if manifest["model"].get("tokens") and words not in of_manifest(manifest):
        lines.append(f"guessing, {LOSSES[words].title}: {UNKNOWN_TOKENS}")
    return "\n".join(lines)
