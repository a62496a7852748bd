"""What guessing loses, and whether a model with everything before it does better.

Uniform: all answers are given the same probability. Unigram: each has the probability
that its frequency in the split gives it. The unigram losses of the examples are
columns of examples.parquet (`unigram_column`), the means of both are in the manifest.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xabl.results.conditions import BASELINE, Direction
from xabl.results.format import SUSPICIONS
from xabl.results.intervals import ImageBootstrap
from xabl.results.losses import LOSSES, NATS_PER_BIT, main_loss, mean_bits

UNIGRAM_LOSSES = tuple(name for name, loss in LOSSES.items() if loss.is_main)
_FIELD = "yardsticks"  # of a manifest


def unigram_column(loss: str) -> str:
    """Its unigram losses, in examples.parquet."""
    return f"unigram_{loss}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Yardstick:
    """One loss of a model that sees everything, beside guessing; bits.

    intact, unigram: means over the same examples.
    uniform: the same of the uniform guess; None: not known.
    low, high: 95% interval of intact - unigram, over images; NaN: too few.
    """

    loss: str
    intact: float
    unigram: float
    uniform: float | None
    low: float
    high: float

    @property
    def no_better(self) -> bool:
        """Whether nothing shows that the model is better than frequencies."""
        return self.high >= 0

    def warning(self, label: str) -> str:
        """What the first line of every output says of a model that is no better."""
        loss = LOSSES[self.loss]
        return (
            f"{label} is no better than unigram: with nothing removed its {loss.title} "
            f"is {self.intact:.3f} bits, and guessing by frequency alone loses "
            f"{self.unigram:.3f} (difference {self.intact - self.unigram:+.3f}, 95% "
            f"interval {self.low:+.3f} to {self.high:+.3f}). What ablation changes "
            f"says nothing about {loss.direction.wording.title.lower()} in it."
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
        low, high = ImageBootstrap(images).means(bits).interval()
        found.append(
            Yardstick(
                loss=name,
                intact=mean_bits(losses[known]),
                unigram=mean_bits(guessed[known]),
                uniform=uniform[name] / NATS_PER_BIT if name in uniform else None,
                low=float(low[0]),
                high=float(high[0]),
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
    return {_FIELD: fields} if fields else {}


def of_manifest(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The field by loss; empty for results of earlier versions and other programs."""
    return dict(manifest.get(_FIELD) or {})


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
    return "\n".join(lines)
