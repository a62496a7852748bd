"""The kinds of region embeddings: all there is to know of each but its arithmetic.

The arithmetic is in `embeddings`, by the same names. Source: Bugliarello et al.
(TACL 2021), the published checkpoints and the code that drew their initial values.
"""

import dataclasses
import enum
from collections.abc import Mapping


class Draw(enum.Enum):
    """How the published code draws a module's parameters, where not as BERT's."""

    LINEAR = enum.auto()  # PyTorch's own default for a dense layer, bias included
    UNIT_NORMAL = enum.auto()  # PyTorch's own default for a table: N(0, 1)
    XAVIER = enum.auto()  # uniform by its size; the bias is 0
    ZERO = enum.auto()
    COPY = enum.auto()  # of the table of this name among the words' embeddings


# What one-stream models leave as PyTorch makes it.
_UNIT_TABLES = {
    "text_embeddings/position": Draw.UNIT_NORMAL,
    "text_embeddings/token_type": Draw.UNIT_NORMAL,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegionEmbedding:
    """One kind.

    Attributes:
        name: value of `image_embeddings` in configuration files.
        parameters: by our part of the embeddings, its name in PyTorch checkpoints.
        draws: by module of ours, how it is drawn before pretraining.
        token_types: the least number of token types that it needs.
        one_width: a LayerNorm or a table is shared with the words, so that both
            streams have one width.
        streams_meet: words and regions are embedded together, each seeing the other.
        positions_follow_words: regions take positions of the words' table, from the
            last word on; words in padding are shifted behind them.
        coordinate_waves: places regions by `v_coordinate_embeddings_dim` wave lengths
            of each coordinate, together as many numbers as the features.
    """

    name: str
    parameters: Mapping[str, str] = dataclasses.field(hash=False)
    draws: Mapping[str, Draw] = dataclasses.field(default_factory=dict, hash=False)
    token_types: int = 2
    one_width: bool = False
    streams_meet: bool = False
    positions_follow_words: bool = False
    coordinate_waves: bool = False


VILBERT = RegionEmbedding(
    name="vilbert",
    parameters={
        "feature": "bert.v_embeddings.image_embeddings",
        "location": "bert.v_embeddings.image_location_embeddings",
        "norm": "bert.v_embeddings.LayerNorm",
    },
)
LXMERT = RegionEmbedding(
    name="lxmert",
    parameters={
        "feature": "bert.v_embeddings.image_embeddings",
        "location": "bert.v_embeddings.image_location_embeddings",
        "feature_norm": "bert.v_embeddings.ImgLayerNorm",
        "location_norm": "bert.v_embeddings.LocLayerNorm",
    },
)
UNITER = RegionEmbedding(
    name="uniter",
    parameters={
        "feature": "bert.embeddings.image_embeddings",
        "location": "bert.embeddings.image_location_embeddings",
        "feature_norm": "bert.embeddings.image_layer_norm",
        "location_norm": "bert.embeddings.image_location_layer_norm",
        "norm": "bert.embeddings.v_LayerNorm",
    },
    draws={
        **_UNIT_TABLES,
        "region_embeddings/feature": Draw.LINEAR,
        "region_embeddings/location": Draw.LINEAR,
    },
    one_width=True,
)
VISUALBERT = RegionEmbedding(
    name="visualbert",
    parameters={
        "projection": "bert.embeddings.projection",
        "token_type": "bert.embeddings.token_type_embeddings_visual",
        "position": "bert.embeddings.position_embeddings_visual",
    },
    draws={
        **_UNIT_TABLES,
        "region_embeddings/projection": Draw.LINEAR,
        "region_embeddings/token_type": Draw.COPY,
        "region_embeddings/position": Draw.COPY,
    },
    one_width=True,
)
VL_BERT = RegionEmbedding(
    name="vl-bert",
    parameters={
        "visual": "bert.embeddings.obj_downsample.1",
        "text_visual_norm": "bert.embeddings.visual_ln_text",
        "object_visual_norm": "bert.embeddings.visual_ln_object",
        "object_linguistic": "bert.embeddings.object_linguistic_embeddings",
        "object_mask_visual": "bert.embeddings.object_mask_visual_embedding",
        "object_mask_word": "bert.embeddings.object_mask_word_embedding",
        "end": "bert.embeddings.end_embedding",
    },
    draws={
        **_UNIT_TABLES,
        "region_embeddings/visual": Draw.XAVIER,
        "region_embeddings/text_visual_norm": Draw.ZERO,
        "region_embeddings/object_visual_norm": Draw.ZERO,
        "region_embeddings/object_mask_visual": Draw.ZERO,
        "region_embeddings/end": Draw.UNIT_NORMAL,
    },
    token_types=3,
    one_width=True,
    streams_meet=True,
    positions_follow_words=True,
    coordinate_waves=True,
)
# Text only: BERT.
NONE = RegionEmbedding(name="none", parameters={}, token_types=1)

REGION_EMBEDDINGS: dict[str, RegionEmbedding] = {
    kind.name: kind for kind in (VILBERT, LXMERT, UNITER, VISUALBERT, VL_BERT, NONE)
}
