"""Which sizes batches are padded to."""

import numpy as np
from jaxtyping import Int, Int64

# Every size is a program to compile; with this many, padding is a few per cent.
_MAX_WORD_SIZES = 6
_MAX_TARGET_SIZES = 2
# A size has to save padding in several batches to be worth its program.
_BATCHES_PER_SIZE = 12


class Sizes:
    """The sizes of one direction, and the order that keeps like pairs together.

    words, targets: ascending; the last ones hold every pair.
    """

    def __init__(
        self,
        lengths: Int[np.ndarray, " pairs"],
        targets: Int[np.ndarray, " pairs"],
        per_step: int,
    ):
        """Chooses the sizes for all pairs of a direction.

        Args:
            lengths: words of each pair. targets: target positions of each pair.
            per_step: pairs of one step on all devices.
        """
        worth = max(1, len(lengths) // (per_step * _BATCHES_PER_SIZE))
        self.words = best_sizes(lengths, min(_MAX_WORD_SIZES, worth))
        self.targets = best_sizes(targets, min(_MAX_TARGET_SIZES, worth))

    def order(
        self, lengths: Int[np.ndarray, " some"], targets: Int[np.ndarray, " some"]
    ) -> Int64[np.ndarray, " some"]:
        """Few targets first, then many; each from the shortest to the longest."""
        return np.lexsort((lengths, np.searchsorted(self.targets, targets)))

    def enclosing(
        self, lengths: Int[np.ndarray, " some"], targets: Int[np.ndarray, " some"]
    ) -> tuple[int, int]:
        """The sizes of words and targets that hold all of a batch."""
        return (
            int(self.words[np.searchsorted(self.words, lengths.max())]),
            int(self.targets[np.searchsorted(self.targets, targets.max())]),
        )


def best_sizes(
    lengths: Int[np.ndarray, " inputs"], count: int
) -> Int64[np.ndarray, " sizes"]:
    """The `count` sizes that pad `lengths` least, ascending; the last is the longest.

    Fewer when there are fewer distinct lengths.
    """
    values, weights = np.unique(lengths, return_counts=True)
    count = min(count, len(values))
    inputs = np.concatenate([[0], np.cumsum(weights)])
    # least[n, k]: positions computed for the n shortest values with k sizes, the
    # largest of which is value n - 1; `before` remembers where the others end.
    least = np.full((len(values) + 1, count + 1), np.inf)
    before = np.zeros((len(values) + 1, count + 1), int)
    least[0, 0] = 0
    for k in range(1, count + 1):
        for n in range(1, len(values) + 1):
            cost = least[:n, k - 1] + (inputs[n] - inputs[:n]) * values[n - 1]
            before[n, k] = int(cost.argmin())
            least[n, k] = cost.min()
    chosen, n = [], len(values)
    for k in range(count, 0, -1):
        chosen.append(values[n - 1])
        n = before[n, k]
    return np.array(chosen[::-1], np.int64)
