"""Which sizes batches are padded to."""

import dataclasses
import sys
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int, Int64

from xabl.results.conditions import Direction

# Pairs of few targets and pairs of many are padded apart.
_TARGET_SIZES = 2

Lengths = Int[np.ndarray, " _"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramLimits:
    """How many sizes there may be: each is a program to compile and to keep.

    worth: word positions that one more program has to save.
    most: programs that score, in all. With 64 of them padding costs about 1%.
    """

    worth: int
    most: int = 64


ONE_SIZE = ProgramLimits(worth=sys.maxsize)


class PaddedSizes:
    """Word and target positions of the programs, and which pairs share a batch.

    Pairs fall into classes by direction and number of targets; each class has word
    sizes of its own, chosen to pad as little as a limited number of programs can.
    """

    def __init__(
        self,
        pairs: Mapping[Direction, tuple[Lengths, Lengths]],
        limits: ProgramLimits,
    ):
        """Chooses the sizes.

        Args:
            pairs: by direction, words and targets of each pair; directions without
                pairs left out.
        """
        self._targets: dict[Direction, Int64[np.ndarray, " sizes"]] = {}
        classes: dict[tuple[Direction, int], Lengths] = {}
        for direction, (lengths, targets) in pairs.items():
            # As word positions: a target costs several times what a word does.
            count = _TARGET_SIZES if 4 * len(targets) > limits.worth else 1
            self._targets[direction] = best_sizes(targets, count)
            of_pair = self._classes(direction, targets)
            for number in range(len(self._targets[direction])):
                classes[direction, number] = lengths[of_pair == number]
        sizes = allotted_sizes(list(classes.values()), limits.most, limits.worth)
        self._words = dict(zip(classes, sizes, strict=True))
        for direction, (lengths, _) in pairs.items():
            # A batch where one class ends and the next begins needs room for both.
            self._words[direction, len(self._targets[direction]) - 1][-1] = (
                lengths.max()
            )

    def order(
        self, direction: Direction, lengths: Lengths, targets: Lengths
    ) -> Int64[np.ndarray, " _"]:
        """Few targets first, then many; each from the shortest to the longest."""
        return np.lexsort((lengths, self._classes(direction, targets)))

    def enclosing(
        self, direction: Direction, lengths: Lengths, targets: Lengths
    ) -> tuple[int, int]:
        """The sizes of words and targets that hold all of a batch."""
        number = int(self._classes(direction, targets).max())
        words = self._words[direction, number]
        return (
            int(words[np.searchsorted(words, lengths.max())]),
            int(self._targets[direction][number]),
        )

    def _classes(
        self, direction: Direction, targets: Lengths
    ) -> Int64[np.ndarray, " _"]:
        return np.searchsorted(self._targets[direction], targets)


def allotted_sizes(
    classes: list[Lengths], count: int, worth: int
) -> list[Int64[np.ndarray, " sizes"]]:
    """Best sizes of several classes, at most `count` in all.

    Every class has one; the others go where they save most, as long as that is at
    least `worth` positions.
    """
    sizes = [best_sizes(lengths, 1) for lengths in classes]
    while sum(map(len, sizes)) < count:
        more = [
            best_sizes(lengths, len(chosen) + 1)
            for lengths, chosen in zip(classes, sizes, strict=True)
        ]
        gains = [
            padded(lengths, now) - padded(lengths, then)
            for lengths, now, then in zip(classes, sizes, more, strict=True)
        ]
        best = int(np.argmax(gains))
        if gains[best] < worth:
            break
        sizes[best] = more[best]
    return sizes


def padded(lengths: Lengths, sizes: Int64[np.ndarray, " sizes"]) -> int:
    """Positions in all when each length is padded to the least size that holds it."""
    return int(sizes[np.searchsorted(sizes, lengths)].sum())


def best_sizes(lengths: Lengths, count: int) -> Int64[np.ndarray, " sizes"]:
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
