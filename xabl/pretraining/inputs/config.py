"""What one pretraining example looks like: masking, replacement, ablation."""

import dataclasses

from xabl.errors import UserError

NO_OVERLAP = 2.0  # an overlap threshold nothing exceeds ("none" in the study)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingAblation:
    """An ablation condition applied while training, to some of the examples.

    As in evaluation (Frank et al. 2021): an ablated word piece becomes [MASK]; an
    ablated region's features become the corpus's average feature vector, its location
    stays and [IMG] is computed from the result. Targets stay targets.

    modality: "words" or "regions".
    probability: share of the examples the condition applies to.
    share: chance of each piece or region of such an example; 1.0 ablates them all.
    """

    modality: str
    probability: float = 1.0
    share: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputConfig:
    """How captions and regions become training examples.

    objective: 0 every loss on every pair; 1 (published) pairs whose caption was
        replaced give the matching loss alone; 2 no replacement and no matching loss.
        A text-only model and `vision_only` never replace captions.
    vision_only: one padded position in place of the words, region losses alone.
    max_words: word pieces of a caption, [CLS] and [SEP] counted; the rest is cut.
    word_rate, region_rate: probability of each piece and region to be a target.
    overlap_threshold: see `overlap_masking`; 2.0 is the study's "none".
    overlap_measure: of a target i and another region j: "iou" (intersection over
        union) or "iot" (intersection over the area of j).
    overlap_masking: what happens to regions that a target overlaps by more than the
        threshold. "published": they keep their features and only leave the divisor of
        [IMG], which does not remove the visual leak. "zero_features": they are zeroed.
    ablations: applied in this order, each decided independently.

    Raises:
        UserError: a value out of range, on construction.
    """

    objective: int = 1
    vision_only: bool = False
    max_words: int = 38
    word_rate: float = 0.15
    region_rate: float = 0.15
    overlap_threshold: float = 0.4
    overlap_measure: str = "iou"
    overlap_masking: str = "published"
    ablations: tuple[TrainingAblation, ...] = ()

    def __post_init__(self) -> None:
        _choice("objective", self.objective, (0, 1, 2))
        _choice("overlap_measure", self.overlap_measure, ("iou", "iot"))
        _choice("overlap_masking", self.overlap_masking, ("published", "zero_features"))
        if self.max_words < 3:
            raise UserError(
                f"max_words is {self.max_words}: [CLS], one word piece and [SEP] need 3"
            )
        if self.overlap_threshold < 0:
            raise UserError(
                f"overlap_threshold is {self.overlap_threshold}: expected 0 ... 1, or "
                f"{NO_OVERLAP} for none"
            )
        _probability("word_rate", self.word_rate)
        _probability("region_rate", self.region_rate)
        for ablation in self.ablations:
            _choice("ablations: modality", ablation.modality, ("words", "regions"))
            _probability("ablations: probability", ablation.probability)
            _probability("ablations: share", ablation.share)


def _choice(name: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        raise UserError(f"{name} is {value!r}, expected one of {allowed}")


def _probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{name} is {value}, expected a probability 0 ... 1")
