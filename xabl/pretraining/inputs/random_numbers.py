"""The random numbers of an example: a function of seed, epoch and example alone."""

import dataclasses

import numpy as np
from jaxtyping import Float64, Int64


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RandomNumbers:
    """Uniform numbers in [0, 1) that decide what happens to each example.

    Every decision has its own numbers, so that none depends on another.

    replace_caption: whether another caption replaces the image's own.
    other_caption: which one.
    word_is_target: whether a word piece is a target.
    word_kind: whether a target is masked, replaced or left.
    other_word: by which word piece it is replaced.
    region_is_target: whether a region is a target.
    region_kind: whether a target is zeroed or left.
    ablation_applies: whether an ablation applies to the example.
    ablate_word: whether it then ablates a word piece.
    ablate_region: whether it then ablates a region.
    """

    replace_caption: Float64[np.ndarray, " batch"]
    other_caption: Float64[np.ndarray, " batch"]
    word_is_target: Float64[np.ndarray, "batch words"]
    word_kind: Float64[np.ndarray, "batch words"]
    other_word: Float64[np.ndarray, "batch words"]
    region_is_target: Float64[np.ndarray, "batch boxes"]
    region_kind: Float64[np.ndarray, "batch boxes"]
    ablation_applies: Float64[np.ndarray, "batch ablations"]
    ablate_word: Float64[np.ndarray, "batch ablations words"]
    ablate_region: Float64[np.ndarray, "batch ablations boxes"]

    @classmethod
    def draw(
        cls,
        seed: int,
        epoch: int,
        examples: Int64[np.ndarray, " batch"],
        *,
        num_words: int,
        num_boxes: int,
        num_ablations: int,
    ) -> "RandomNumbers":
        """The numbers of some examples in an epoch; the same in any batch and process.

        Seed and epoch are the key of a counter-based generator (Philox), the example is
        its counter.
        """
        sizes = {
            "replace_caption": (),
            "other_caption": (),
            "word_is_target": (num_words,),
            "word_kind": (num_words,),
            "other_word": (num_words,),
            "region_is_target": (num_boxes,),
            "region_kind": (num_boxes,),
            "ablation_applies": (num_ablations,),
            "ablate_word": (num_ablations, num_words),
            "ablate_region": (num_ablations, num_boxes),
        }
        counts = [int(np.prod(size)) for size in sizes.values()]
        numbers = _uniform(seed, epoch, examples, sum(counts))
        parts = np.split(numbers, np.cumsum(counts)[:-1], axis=1)
        return cls(
            **{
                name: part.reshape(len(examples), *size)
                for (name, size), part in zip(sizes.items(), parts, strict=True)
            }
        )


def _uniform(
    seed: int, epoch: int, examples: Int64[np.ndarray, " batch"], count: int
) -> Float64[np.ndarray, "batch _"]:
    """`count` numbers for each example."""
    numbers = np.empty((len(examples), count))
    philox = np.random.Philox(key=[seed, epoch])
    generator = np.random.Generator(philox)
    state = philox.state  # set again for each example: six times as fast as a new one
    for row, example in zip(numbers, examples, strict=True):
        # The example is the counter's highest word; draws increase the lowest.
        state["state"]["counter"][:] = (0, 0, 0, example)
        philox.state = state
        generator.random(out=row)
    return numbers
