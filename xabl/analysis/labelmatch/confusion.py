"""Where detector and caption disagree: silver classes against gold, by category."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from xabl.errors import UserError

INTENDED, PUBLISHED = "intended", "published"
CATEGORY_MAPS = (INTENDED, PUBLISHED)
OTHER = "other"
_SCENE, _CLOTHING = "scene", "clothing"
BY_GOLD_ROW, BY_PUBLISHED_COLUMN = "row", "published"
NORMALISATIONS = (BY_GOLD_ROW, BY_PUBLISHED_COLUMN)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """Examples whose detector class is not the gold class, by category of the two.

    counts: rows gold, columns silver; a class taken for another class of the same
        category is on the diagonal.
    gold_totals: examples of each gold category, those that match included.
    matches: examples whose two classes are the same; in no cell of `counts`.
    left_out: mismatches of a gold category that `categories` does not list.
    """

    categories: tuple[str, ...]
    counts: Int[np.ndarray, "categories categories"]
    gold_totals: Int[np.ndarray, " categories"]
    matches: int
    left_out: int

    @property
    def mismatches(self) -> int:
        return int(self.counts.sum()) + self.left_out

    def shares(
        self, normalisation: str = BY_GOLD_ROW
    ) -> Float[np.ndarray, "categories categories"]:
        """Counts over gold totals; NaN for a category no example has.

        row: each row over its own gold total, so that a row and the category's matches
        add up to 1. published: each column over the gold total of that column's
        category, as in the published figure; only the diagonal is a share of a row.

        Raises:
            UserError: a normalisation of another name.
        """
        if normalisation not in NORMALISATIONS:
            raise UserError(
                f"normalisation {normalisation!r}: expected "
                + " or ".join(NORMALISATIONS)
            )
        totals = self.gold_totals.astype(float)
        by_row = normalisation == BY_GOLD_ROW
        divisor = totals[:, None] if by_row else totals[None, :]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(divisor > 0, self.counts / divisor, np.nan)

    def table(self) -> pd.DataFrame:
        """A row per cell: gold, silver, count, gold_total, row and published share."""
        row, published = (self.shares(name) for name in NORMALISATIONS)
        return pd.DataFrame(
            [
                {
                    "gold": gold,
                    "silver": silver,
                    "count": int(self.counts[i, j]),
                    "gold_total": int(self.gold_totals[i]),
                    "share_of_gold_row": row[i, j],
                    "published_share": published[i, j],
                }
                for i, gold in enumerate(self.categories)
                for j, silver in enumerate(self.categories)
            ]
        )


def confusion(
    gold: Shaped[np.ndarray, " examples"],
    silver: Shaped[np.ndarray, " examples"],
    category_of: Mapping[int, str],
    names: Sequence[str] | None = None,
) -> Confusion:
    """Counts gold against silver classes.

    Args:
        gold, silver: class indices, NaN for none; examples without either are left
            out.
        category_of: of every gold class (`labelmatch.categories`); a silver class that
            is nobody's gold label counts as other.
        names: the categories to list; default all that occur.
    """
    known = ~np.isnan(gold.astype(float)) & ~np.isnan(silver.astype(float))
    pairs = [(int(g), int(s)) for g, s in zip(gold[known], silver[known], strict=True)]
    gold_categories = [category_of[g] for g, _ in pairs]
    silver_categories = [category_of.get(s, OTHER) for _, s in pairs]
    if names is None:
        names = sorted({*gold_categories, *silver_categories})
    index = {name: position for position, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    totals = np.zeros(len(names), np.int64)
    matches = left_out = 0
    for (g, s), row, column in zip(
        pairs, gold_categories, silver_categories, strict=True
    ):
        if row in index:
            totals[index[row]] += 1
        if g == s:
            matches += 1
        elif row in index and column in index:
            counts[index[row], index[column]] += 1
        else:
            left_out += 1
    return Confusion(
        categories=tuple(names),
        counts=counts,
        gold_totals=totals,
        matches=matches,
        left_out=left_out,
    )


def categories(
    gold: Sequence[int | None], phrase_types: Sequence[str], category_map: str
) -> dict[int, str]:
    """The category of every gold class: the first type of the phrases that name it.

    Where two types occur, the intended map drops scene, else other. The published
    table took an arbitrary one of the two (the order of a set). The published map
    repeats its choices: scene over clothing, other over animals, else as intended.

    Raises:
        UserError: a category map of another name.
    """
    if category_map not in CATEGORY_MAPS:
        raise UserError(
            f"category map {category_map!r}: expected {' or '.join(CATEGORY_MAPS)}"
        )
    types: dict[int, Counter[str]] = {}
    for label, phrase_type in zip(gold, phrase_types, strict=True):
        if label is not None:
            types.setdefault(label, Counter())[phrase_type] += 1
    chosen = {label: _intended(counts) for label, counts in types.items()}
    if category_map == PUBLISHED:
        for label, counts in types.items():
            if set(counts) == {_CLOTHING, _SCENE}:
                chosen[label] = _SCENE
            elif set(counts) == {"animals", OTHER}:
                chosen[label] = OTHER
    return chosen


def _intended(counts: Mapping[str, int]) -> str:
    left = dict(counts)
    for weaker in (_SCENE, OTHER):
        if len(left) > 1:
            left.pop(weaker, None)
    # Published data leaves one; elsewhere the more frequent, then the alphabet decides.
    return min(left, key=lambda name: (-left[name], name))
