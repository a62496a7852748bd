"""What one pretraining example looks like: masking, replacement, ablation."""

import dataclasses
import math

from xabl.errors import UserError, check_choice, check_range

NO_OVERLAP = 2.0  # an overlap threshold nothing exceeds ("none" in the study)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingAblation:
    """Ablation of words or regions while training, in some of the examples.

    As in evaluation (Frank et al. 2021), an ablated word piece becomes [MASK], and an
    ablated region's features become the corpus's average feature vector; its location
    stays, and [IMG] is computed from the result. Targets stay targets.

    modality: "words" or "regions".
    probability: of an example to be ablated.
    share: probability of each piece or region of such an example; 1.0 ablates all.
    """

    modality: str
    probability: float = 1.0
    share: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputConfig:
    """How captions and regions become training examples.

    objective: 0: every loss on every pair. 1 (published): pairs with a replaced caption
        have the matching loss alone. 2: no replaced captions, no matching loss; always
        so for a text-only model and with `vision_only`.
    vision_only: one padded position in place of the words, region losses alone.
    max_words: word pieces of a caption with [CLS] and [SEP]; the rest is cut.
    word_rate: probability of a word piece to be a target.
    region_rate: probability of a region to be a target.
    overlap_threshold: see `overlap_masking`; 2.0 is the study's "none".
    overlap_measure: of a target i and another region j: "iou" (intersection over
        union) or "iot" (intersection over the area of j).
    overlap_masking: of regions that a target overlaps by more than the threshold.
        "published": they keep their features and only leave the divisor of [IMG],
        which does not remove the visual leak. "zero_features": they are zeroed.
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
        check_choice("objective", self.objective, (0, 1, 2))
        check_choice("overlap_measure", self.overlap_measure, ("iou", "iot"))
        check_choice(
            "overlap_masking", self.overlap_masking, ("published", "zero_features")
        )
        if self.max_words < 3:
            raise UserError(
                f"max_words is {self.max_words}: [CLS], one word piece and [SEP] need 3"
            )
        if not 0 <= self.overlap_threshold < math.inf:
            raise UserError(
                f"overlap_threshold is {self.overlap_threshold}: expected 0 ... 1, or "
                f"{NO_OVERLAP} for none"
            )
        check_range("word_rate", self.word_rate, 0, 1)
        check_range("region_rate", self.region_rate, 0, 1)
        for ablation in self.ablations:
            check_choice("ablations: modality", ablation.modality, ("words", "regions"))
            check_range("ablations: probability", ablation.probability, 0, 1)
            check_range("ablations: share", ablation.share, 0, 1)
