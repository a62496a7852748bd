"""The one table between our parameters and those of published PyTorch checkpoints.

Conversion reads it in one direction; the optimiser's rule of what is decayed, which
the reference states in terms of its own names, reads it in the other.
"""

import dataclasses
import functools
import re

from xabl.models.config import ModelConfig
from xabl.models.model import flatten, parameter_shapes


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReferenceTensor:
    """Where a parameter of ours stands in a PyTorch state dict.

    Attributes:
        name: in the state dict.
        shape: of OUR parameter.
        transpose: whether the state dict holds the transpose (dense kernels).
        aliases: further names under which the state dict holds the same tensor.
    """

    name: str
    shape: tuple[int, ...]
    transpose: bool
    aliases: tuple[str, ...]


_LEAVES = {"kernel": "weight", "bias": "bias", "scale": "weight", "embedding": "weight"}

_TEXT = {
    "text_embeddings/word": "bert.embeddings.word_embeddings",
    "text_embeddings/position": "bert.embeddings.position_embeddings",
    "text_embeddings/token_type": "bert.embeddings.token_type_embeddings",
    "text_embeddings/norm": "bert.embeddings.LayerNorm",
}

_HEADS = {
    "poolers/text": "bert.t_pooler.dense",
    "poolers/regions": "bert.v_pooler.dense",
    "mlm_head": "cls.predictions",
    "mlm_head/transform": "cls.predictions.transform.dense",
    "mlm_head/norm": "cls.predictions.transform.LayerNorm",
    "region_head/transform": "cls.imagePredictions.transform.dense",
    "region_head/norm": "cls.imagePredictions.transform.LayerNorm",
    "itm_head/decoder": "cls.bi_seq_relationship",
}

# Within one sublayer; "{v}" is "v_" on the region side.
_ATTENTION = {
    "query": "attention_self.{v}query",
    "key": "attention_self.{v}key",
    "value": "attention_self.{v}value",
    "output": "attention_output.{v}dense",
    "norm": "attention_output.{v}LayerNorm",
}
_FEED_FORWARD = {
    "intermediate": "intermediate.{v}dense",
    "output": "output.{v}dense",
    "norm": "output.{v}LayerNorm",
}

_SUBLAYER = re.compile(r"sublayers_(\d+)/(text|regions)/(\w+)")
_TARGET = re.compile(r"region_head/objective_(\w+)")
_WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
_TIED_DECODER = "cls.predictions.decoder.weight"


@functools.lru_cache(maxsize=32)
def reference_names(config: ModelConfig) -> dict[str, ReferenceTensor]:
    """Every parameter of the model by its path, such as "mlm_head/transform/kernel"."""
    names = {}
    for path, leaf in flatten(parameter_shapes(config)).items():
        ours, _, kind = path.rpartition("/")
        module, *aliases = _modules(ours, config)
        suffix = _LEAVES[kind]
        name = f"{module}.{suffix}"
        others = [f"{alias}.{suffix}" for alias in aliases]
        if name == _WORD_EMBEDDINGS:
            others.append(_TIED_DECODER)
        names[path] = ReferenceTensor(
            name=name,
            shape=leaf.shape,
            transpose=kind == "kernel",
            aliases=tuple(others),
        )
    return names


def _modules(ours: str, config: ModelConfig) -> list[str]:
    """The reference's name of one of our modules, then its aliases."""
    regions = {
        f"region_embeddings/{part}": name
        for part, name in config.image_embeddings.parameters.items()
    }
    table = _TEXT | regions | _HEADS
    if ours in table:
        return [table[ours]]
    if match := _TARGET.fullmatch(ours):
        return [f"cls.imagePredictions.decoder_dict.{match[1]}"]
    number, side, part = _SUBLAYER.fullmatch(ours).groups()
    sublayer = int(number)
    parts = _FEED_FORWARD if sublayer in config.ff_sublayers else _ATTENTION
    sides = ["", "v_"] if side == "text" else ["v_"]
    if side == "text" and sublayer not in config.shared_sublayers:
        sides = [""]
    return [
        f"bert.encoder.layer.{number}.{parts[part].format(v=prefix)}"
        for prefix in sides
    ]
