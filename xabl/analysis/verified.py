"""What stands behind the numbers, and what does not: for report and README."""

from typing import NamedTuple


class Verified(NamedTuple):
    """One question, its answer, and the command that gives it again."""

    question: str
    answer: str
    command: str


VERIFIED = (
    Verified(
        "Is it the published computation?",
        "Yes, on made-up parameters: for small models of all ten configurations, "
        "logits and hidden states are those of the published PyTorch code, to 5e-6 "
        "(hidden states of VL-BERT's regions to 1e-5); so are, for eight of them, all "
        "published losses of the ablation.",
        "make test",
    ),
    Verified(
        "Does a published checkpoint give the published numbers on the published data?",
        "Not verified here: neither comes with xabl. Whoever has both can see it: on "
        "the split val the command prints the published means, six a model, beside its "
        "own, with the difference.",
        "xabl ablate --model=models/ctrl_uniter_base --entities=flickr30k_entities "
        "--split=val --regions=regions.h5 --output=results/ctrl_uniter_base",
    ),
    Verified(
        "Do the intervals hold what they say?",
        "Nearly, in simulations: over images, and over seeds and images, 95% intervals "
        "hold the truth in 93% to 97% of made-up studies; in 90% or more over 30 "
        "images, or where groups of models spread differently; in up to 99.5% where "
        "seeds hardly differ.",
        "make test test-slow",
    ),
    Verified(
        "Does the method find what is there, and nothing else?",
        "Yes, in small worlds whose truth is known, with small models; docs/controls "
        "has numbers and caveats. That says nothing of how large a published model's "
        "score should be.",
        "xabl controls --output=controls",
    ),
)
