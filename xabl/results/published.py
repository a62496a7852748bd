"""The published headline numbers, for comparison beside one's own.

Source: Frank, Bugliarello & Elliott, "Vision-and-Language or Vision-for-Language? On
Cross-Modal Influence in Multimodal Transformers" (EMNLP 2021), figure 2, as printed
in the tables released with its code. Flickr30k Entities, validation split, all
14,433 examples, means in bits. Of the ten pretraining seeds the figure shows one a
model, named here.
"""

import dataclasses
from collections.abc import Mapping

SPLIT = "val"
NUM_EXAMPLES = 14_433
# Of the table of silver against gold classes, whatever little there is of others.
CATEGORIES = (
    "animals",
    "bodyparts",
    "clothing",
    "other",
    "people",
    "scene",
    "vehicles",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One model's means.

    seed: the pretraining seed the numbers are of; None where there is one model.
    bits: by metric (column of scores.parquet) and condition name.
    """

    model: str
    seed: int | None
    bits: Mapping[tuple[str, str], float]


_CELLS = (
    ("mlm", "none"),
    ("mlm", "object@0.5"),
    ("mlm", "all"),
    ("mrc_kl", "none"),
    ("mrc_kl", "phrase"),
    ("mrc_kl", "all"),
)


def _row(model: str, seed: int, *bits: float) -> PublishedRow:
    return PublishedRow(
        model=model, seed=seed, bits=dict(zip(_CELLS, bits, strict=True))
    )


def _text_only(model: str, bits: float) -> PublishedRow:
    return PublishedRow(model=model, seed=None, bits={("mlm", "none"): bits})


# By preset; BERT-CC (BERT trained further on captions) has no preset of its own.
PUBLISHED: dict[str, PublishedRow] = {
    "ctrl_uniter_base": _row("UNITER", 73, 4.614, 4.944, 5.801, 0.5961, 0.6026, 0.6161),
    "ctrl_vl-bert_base": _row(
        "VL-BERT", 89, 5.548, 5.789, 6.453, 0.6093, 0.6175, 0.6309
    ),
    "ctrl_visualbert_base": _row(
        "VisualBERT", 1234, 4.636, 4.911, 5.505, 2.9361, 2.9528, 2.9324
    ),
    "ctrl_vilbert_base": _row(
        "ViLBERT", 33, 4.677, 5.126, 5.920, 0.6668, 0.6878, 0.7383
    ),
    "ctrl_lxmert": _row("LXMERT", 0, 4.681, 4.996, 5.717, 0.5118, 0.5142, 0.5182),
    "bert_base": _text_only("BERT", 7.439),
    "BERT-CC": _text_only("BERT-CC", 5.394),  # after 5 of its 10 epochs
}


def published_row(name: str, *, split: str, num_examples: int) -> PublishedRow | None:
    """What a run may be compared with; None unless it scored the published examples.

    Args:
        name: of the configuration.
        num_examples: scored, or excluded for what they are, but not left out.
    """
    if (split, num_examples) != (SPLIT, NUM_EXAMPLES):
        return None
    return PUBLISHED.get(name)
