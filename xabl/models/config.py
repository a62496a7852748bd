"""The configuration that tells one model from another.

Field names are those of the reference's JSON files (architecture: Bugliarello et
al., TACL 2021), so that a published file and a `ModelConfig` can be read side by side.
"""

import dataclasses
import enum
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xabl.errors import UserError


class RegionEmbedding(enum.Enum):
    """Kinds of region embeddings, by the value of `image_embeddings`."""

    VILBERT = "vilbert"
    LXMERT = "lxmert"
    UNITER = "uniter"
    VISUALBERT = "visualbert"
    VL_BERT = "vl-bert"
    NONE = "none"  # text only: BERT


class Fusion(enum.Enum):
    """What the image-text matching head sees of the two pooled vectors."""

    MUL = "mul"
    SUM = "sum"
    TEXT = "text"
    NONE = "none"  # no poolers, no matching head
    VL_BERT_VQA = "vl-bert_vqa"  # a text pooler on word e-2 and nothing else


class GlobalImage(enum.Enum):
    """Where the [IMG] row stands among the regions (`add_global_imgfeat`)."""

    ABSENT = None
    FIRST = "first"
    LAST = "last"


# Outputs of each visual target's decoder, whatever the feature size.
VISUAL_TARGET_SIZES = {
    "0": 1601,
    "1": 2048,
    "2": 2048,
    "3": 1600,
    "4": 400,
    "5": 2048,
    "6": 1601,
}

ACTIVATIONS = ("gelu", "relu", "swish", "tanh")

# Legal in reference files and without effect on what is computed here.
_IGNORED_FIELDS = frozenset(
    {
        "bert_model",
        "clf_hidden_size",
        "fixed_layers",
        "max_boxes",
        "model",
        "objective",
        "qa_num_answers",
        "qa_task_weight",
        "v_initializer_range",
        "visualization",
    }
)
# Legal with these values only: another value would compute something else.
_FIXED_FIELDS = {"norm_embeddings": (False,), "pad_token_id": (0,)}
_OUT_OF_SCOPE_MODELS = ("roberta", "m3p", "uc2", "xlm")

IntMap = tuple[tuple[int, int], ...]  # a hashable {sublayer: number}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One gated bimodal BERT (spec: architecture, sections 1-4).

    A model is a list of sublayers 0 ... L-1, each either attention (listed in one or
    more of the four `*_attn_sublayers`) or feed-forward (`*_ff_sublayers`). `t` is the
    text stream, `v` the region stream; `tv` means words (queries) attend to regions.

    Raises:
        UserError: on construction, naming every field that does not fit.
    """

    name: str
    # Text stream
    vocab_size: int = 30522
    do_lower_case: bool = True  # of captions, before they are cut into word pieces
    hidden_size: int = 768
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    # Region stream
    image_embeddings: RegionEmbedding = RegionEmbedding.VILBERT
    v_feature_size: int = 2048
    num_locs: int = 5
    add_global_imgfeat: GlobalImage = GlobalImage.ABSENT
    v_coordinate_embeddings_dim: int | None = None
    v_hidden_size: int = 768
    v_num_attention_heads: int = 12
    v_intermediate_size: int = 3072
    v_hidden_act: str = "gelu"
    v_hidden_dropout_prob: float = 0.1
    v_attention_probs_dropout_prob: float = 0.1
    # Sublayers
    tt_attn_sublayers: tuple[int, ...] = ()
    tv_attn_sublayers: tuple[int, ...] = ()
    vt_attn_sublayers: tuple[int, ...] = ()
    vv_attn_sublayers: tuple[int, ...] = ()
    t_ff_sublayers: tuple[int, ...] = ()
    v_ff_sublayers: tuple[int, ...] = ()
    shared_sublayers: tuple[int, ...] = ()
    single_ln_sublayers: tuple[int, ...] = ()
    sublayer2attn_hidden_size: IntMap = ()
    sublayer2num_attention_heads: IntMap = ()
    sublayer2intermediate_size: IntMap = ()
    sublayer2v_attn_hidden_size: IntMap = ()
    sublayer2v_num_attention_heads: IntMap = ()
    sublayer2v_intermediate_size: IntMap = ()
    bert_layer2attn_sublayer: IntMap = ()
    bert_layer2ff_sublayer: IntMap = ()
    # Heads
    pooler_size: int = 768
    v_pooler_size: int = 1024
    fusion_method: Fusion = Fusion.MUL
    fusion_act: str = "relu"
    itm_dim: int = 2
    image_head_ln: bool = True
    # Ours, no field of the reference's. Models it trains without a visual target keep
    # the head's transform, which nothing reads; those of others have no head at all.
    region_head: bool = True
    visual_target_weights: tuple[tuple[str, float], ...] = (("0", 1.0),)
    # Numerics
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        # Not at the top: what checks a configuration must know what one is.
        from xabl.models.config_problems import config_problems

        problems = list(config_problems(self))
        if problems:
            raise UserError(
                f"configuration {self.name!r} does not describe a model:\n  "
                + "\n  ".join(problems)
            )

    @property
    def text_only(self) -> bool:
        return self.image_embeddings is RegionEmbedding.NONE

    @property
    def attention_sublayers(self) -> frozenset[int]:
        return frozenset(
            self.tt_attn_sublayers
            + self.tv_attn_sublayers
            + self.vt_attn_sublayers
            + self.vv_attn_sublayers
        )

    @property
    def ff_sublayers(self) -> frozenset[int]:
        return frozenset(self.t_ff_sublayers + self.v_ff_sublayers)

    @property
    def num_sublayers(self) -> int:
        return len(self.attention_sublayers | self.ff_sublayers)

    @property
    def visual_targets(self) -> tuple[str, ...]:
        """Objectives of the region head, in the configuration's order."""
        return tuple(t for t, weight in self.visual_target_weights if weight > 0)

    @property
    def has_region_head(self) -> bool:
        """Whether there is at least the transform of the region head."""
        return self.region_head and not self.text_only

    @property
    def has_image_row(self) -> bool:
        """Whether the regions include the [IMG] row."""
        return self.add_global_imgfeat is not GlobalImage.ABSENT

    def attention_sizes(self, sublayer: int, *, regions: bool) -> tuple[int, int]:
        """(width of the projections, heads) of one stream in an attention sublayer.

        A width or number of heads given for the text side alone holds for both
        streams: queries of one meet keys of the other.
        """
        sizes = dict(self.sublayer2attn_hidden_size)
        heads = dict(self.sublayer2num_attention_heads)
        if not regions:
            return (
                sizes.get(sublayer, self.hidden_size),
                heads.get(sublayer, self.num_attention_heads),
            )
        sizes |= dict(self.sublayer2v_attn_hidden_size)
        heads |= dict(self.sublayer2v_num_attention_heads)
        return (
            sizes.get(sublayer, self.v_hidden_size),
            heads.get(sublayer, self.v_num_attention_heads),
        )

    def intermediate_sizes(self, sublayer: int, *, regions: bool) -> int:
        """Inner width of one stream in a feed-forward sublayer."""
        if regions:
            sizes = dict(self.sublayer2v_intermediate_size)
            return sizes.get(sublayer, self.v_intermediate_size)
        sizes = dict(self.sublayer2intermediate_size)
        return sizes.get(sublayer, self.intermediate_size)

    @classmethod
    def from_json(cls, path: Path | str) -> "ModelConfig":
        """Reads a configuration in the reference's format.

        Raises:
            UserError: unreadable file, a field that is not understood, a model that
                is out of scope, or sizes that do not fit together.
        """
        path = Path(path)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise UserError(
                f"{path}: not a configuration in JSON ({error}); expected a file such "
                "as ctrl_uniter_base.json"
            ) from error
        if not isinstance(fields, dict):
            raise UserError(f"{path}: expected a JSON object of configuration fields")
        name = "config" if path.stem == "config" else path.stem
        return cls.from_dict({"name": name, **fields}, source=str(path))

    @classmethod
    def from_dict(
        cls, fields: Mapping[str, Any], *, source: str = "configuration"
    ) -> "ModelConfig":
        """As `from_json`, from the decoded object; `source` names it in errors."""
        for key in ("model", "bert_model"):
            value = str(fields.get(key, "")).lower()
            if any(word in value for word in _OUT_OF_SCOPE_MODELS):
                raise UserError(
                    f"{source}: {key} is {fields[key]!r}; RoBERTa, M3P and UC2 "
                    "variants are not supported, only models over uncased BERT are"
                )
        kinds = {field.name: field.type for field in dataclasses.fields(cls)}
        unknown = sorted(
            set(fields) - set(kinds) - _IGNORED_FIELDS - set(_FIXED_FIELDS)
        )
        if unknown:
            raise UserError(
                f"{source}: unknown configuration fields {', '.join(unknown)}; they "
                "might change what the model computes, so they are not skipped"
            )
        for key, allowed in _FIXED_FIELDS.items():
            if key in fields and fields[key] not in allowed:
                raise UserError(
                    f"{source}: {key} is {fields[key]!r}, only {allowed[0]!r} is "
                    "supported"
                )
        values = {key: value for key, value in fields.items() if key in kinds}
        try:
            decoded = {
                key: _decode(key, kinds[key], value) for key, value in values.items()
            }
            return cls(**decoded)
        except UserError as error:
            raise UserError(f"{source}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The configuration in the reference's format, `name` beside its fields."""
        return {
            field.name: _encode(field.type, getattr(self, field.name))
            for field in dataclasses.fields(self)
        }


def _decode(key: str, kind: Any, value: Any) -> Any:
    """One JSON value as the field's type."""
    try:
        return _converted(kind, value)
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"field {key}: {error}") from error


def _converted(kind: Any, value: Any) -> Any:
    if kind is RegionEmbedding:
        return RegionEmbedding.NONE if value is None else RegionEmbedding(value)
    if kind is Fusion or kind is GlobalImage:
        return kind(value)
    if kind == tuple[int, ...]:
        return tuple(int(number) for number in value)
    if kind == IntMap:
        return tuple(sorted((int(key), int(number)) for key, number in value.items()))
    if kind == tuple[tuple[str, float], ...]:
        return tuple((str(key), float(weight)) for key, weight in value.items())
    accepted = (int, float) if kind is float else kind
    if kind in (int, float, bool, str) and not isinstance(value, accepted):
        raise ValueError(f"expected {kind.__name__}, found {value!r}")
    return value


def _encode(kind: Any, value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if kind == IntMap:
        return {str(key): number for key, number in value}
    if kind == tuple[tuple[str, float], ...]:
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    return value
