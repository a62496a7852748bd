"""The configuration that tells one model from another.

Field names are those of the reference's JSON files (architecture: Bugliarello et
al., TACL 2021), so that a published file and a `ModelConfig` can be read side by side.
"""

import dataclasses
import enum
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xabl.errors import UserError
from xabl.models import config_json
from xabl.models.config_json import IntMap, Weights
from xabl.models.region_embedding import NONE, VILBERT, RegionEmbedding
from xabl.models.visual_targets import VISUAL_TARGETS, VisualTarget
from xabl.support.files import read_json


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


_LARGEST = 2**31 - 1  # of sizes; what reads them counts in 32 bits
ACTIVATIONS = ("gelu", "relu", "swish", "tanh")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One gated bimodal BERT (Bugliarello et al., TACL 2021, section 3).

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
    image_embeddings: RegionEmbedding = VILBERT
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
    # Ours, not a field of the reference's. Its models that are trained without a visual
    # target keep the head's transform, which is not used; other models have no head.
    region_head: bool = True
    visual_target_weights: Weights = (("0", 1.0),)
    # Numerics
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise UserError(
                f"configuration {self.name!r} does not describe a model:\n  "
                + "\n  ".join(problems)
            )

    @property
    def text_only(self) -> bool:
        return self.image_embeddings == NONE

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
    def visual_targets(self) -> tuple[VisualTarget, ...]:
        """What the region head predicts, in the configuration's order."""
        return tuple(
            VISUAL_TARGETS[name] for name, w in self.visual_target_weights if w > 0
        )

    def scored_target(self) -> VisualTarget:
        """The visual target that lang4vis measures: the first.

        Raises:
            UserError: the model predicts no classes of regions.
        """
        if self.text_only:
            problem = "reads words alone"
        elif not self.visual_targets:
            problem = (
                "was trained without a visual target and cannot predict the classes of "
                "regions"
            )
        elif not self.visual_targets[0].is_scored:
            problem = (
                f'has "{self.visual_targets[0].name}" as its first visual target, '
                "which predicts no object class"
            )
        else:
            return self.visual_targets[0]
        raise UserError(
            f"model {self.name} {problem}, so there is no lang4vis for it; use "
            "--directions=vis4lang"
        )

    @property
    def has_region_head(self) -> bool:
        """Whether there is at least the transform of the region head."""
        return self.region_head and not self.text_only

    @property
    def has_matching_head(self) -> bool:
        """Whether it says if a caption matches an image."""
        return self.fusion_method in (Fusion.MUL, Fusion.SUM, Fusion.TEXT)

    @property
    def has_image_row(self) -> bool:
        """Whether the regions include the [IMG] row."""
        return self.add_global_imgfeat is not GlobalImage.ABSENT

    @property
    def first_box(self) -> int:
        """The row of the detector's first region: 1 behind an [IMG] row, else 0."""
        return int(self.add_global_imgfeat is GlobalImage.FIRST)

    @property
    def needs_regions(self) -> bool:
        """Whether one has to be attended to: some words attend to regions alone.

        Where all keys of a softmax are masked they count as if none were. An [IMG] row
        always stays.
        """
        alone = set(self.tv_attn_sublayers) - set(self.tt_attn_sublayers)
        return bool(alone) and not self.has_image_row

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
        fields = read_json(path, "a configuration such as ctrl_uniter_base.json")
        return cls.from_dict({"name": Path(path).stem, **fields}, source=str(path))

    @classmethod
    def from_dict(
        cls, fields: Mapping[str, Any], *, source: str = "configuration"
    ) -> "ModelConfig":
        """As `from_json`, from the decoded object; `source` names it in errors."""
        try:
            return cls(**config_json.decoded(fields, _types(cls)))
        except UserError as error:
            raise UserError(f"{source}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The configuration in the reference's format, `name` beside its fields."""
        return {
            name: config_json.encoded(getattr(self, name), kind)
            for name, kind in _types(type(self)).items()
        }


def _types(cls: type[ModelConfig]) -> dict[str, Any]:
    return {field.name: field.type for field in dataclasses.fields(cls)}


def _problems(config: ModelConfig) -> Iterator[str]:
    """Yields what is wrong, one line each; nothing for a model that can be built."""
    wrong = list(_number_problems(config))
    if wrong:
        yield from wrong
        return  # what follows divides by them
    attention, feed_forward = config.attention_sublayers, config.ff_sublayers
    both = sorted(attention & feed_forward)
    if both:
        yield f"sublayers {both} are both attention and feed-forward"
    numbers = attention | feed_forward
    if not numbers:
        yield "no sublayers"
    elif numbers != set(range(len(numbers))):
        missing = sorted(set(range(len(numbers))) - numbers)
        yield f"sublayers are not contiguous from 0: {missing} are missing"
    named = {"shared_sublayers": set(config.shared_sublayers)}
    for key, value in vars(config).items():
        if key.startswith("sublayer2"):
            named[key] = {sublayer for sublayer, _ in value}
    for key, sublayers in named.items():
        if stray := sorted(sublayers - numbers):
            yield f"{key}: sublayers {stray} do not exist"
    loose = sorted(set(config.single_ln_sublayers) - set(config.shared_sublayers))
    if loose:
        yield f"single_ln_sublayers {loose} are not among shared_sublayers"
    yield from _attention_problems(config)
    yield from _embedding_problems(config)
    yield from _head_problems(config)


def _number_problems(config: ModelConfig) -> Iterator[str]:
    for key, value in vars(config).items():
        if type(value) is int and not 1 <= value <= _LARGEST:
            yield f"{key} is {value}, it must be at least 1 and at most {_LARGEST}"
        if key.endswith("_prob") and not 0 <= value < 1:
            yield f"{key} is {value}, a probability below 1 is expected"
        if key.startswith("sublayer2"):
            for sublayer, size in value:
                if not 1 <= size <= _LARGEST:
                    yield (
                        f"{key}: {size} for sublayer {sublayer} must be at least 1 and "
                        f"at most {_LARGEST}"
                    )
    if not 0 < config.layer_norm_eps < 1:
        yield f"layer_norm_eps is {config.layer_norm_eps}, expected above 0, below 1"
    if not 0 <= config.initializer_range < math.inf:
        yield f"initializer_range is {config.initializer_range}, expected 0 or more"
    for name, weight in config.visual_target_weights:
        if not 0 <= weight < math.inf:
            yield f'visual target "{name}" has weight {weight}, expected 0 or more'


def _attention_problems(config: ModelConfig) -> Iterator[str]:
    for sublayer in sorted(config.attention_sublayers):
        text = config.attention_sizes(sublayer, regions=False)
        region = config.attention_sizes(sublayer, regions=True)
        sides = [("", text)]
        if not config.text_only:
            sides.append(("v_", region))
        for prefix, (width, heads) in sides:
            if width % heads:
                yield (
                    f"sublayer {sublayer}: {prefix}attention size {width} is not a "
                    f"multiple of its {heads} heads"
                )
        crossed = (
            sublayer in config.tv_attn_sublayers or sublayer in config.vt_attn_sublayers
        )
        if crossed and text != region:
            yield (
                f"sublayer {sublayer}: words and regions attend to each other with "
                f"different (size, heads): {text} and {region}"
            )


def _embedding_problems(config: ModelConfig) -> Iterator[str]:
    if config.shared_sublayers and config.hidden_size != config.v_hidden_size:
        yield (
            f"shared_sublayers need equal streams, hidden_size is {config.hidden_size} "
            f"and v_hidden_size {config.v_hidden_size}"
        )
    kind = config.image_embeddings
    if kind.one_width and config.hidden_size != config.v_hidden_size:
        yield (
            f"{kind.name} embeddings need v_hidden_size equal to hidden_size, they are "
            f"{config.v_hidden_size} and {config.hidden_size}"
        )
    if kind.coordinate_waves:
        width = 8 * (config.v_coordinate_embeddings_dim or 0)
        if width != config.v_feature_size:
            yield (
                f"{kind.name}: v_feature_size {config.v_feature_size} must be 8 x "
                f"v_coordinate_embeddings_dim ({config.v_coordinate_embeddings_dim})"
            )
    if config.type_vocab_size < kind.token_types:
        yield (
            f"{kind.name} embeddings need type_vocab_size {kind.token_types}, found "
            f"{config.type_vocab_size}"
        )
    if config.text_only:
        crossing = (
            config.tv_attn_sublayers
            + config.vt_attn_sublayers
            + config.vv_attn_sublayers
            + config.v_ff_sublayers
        )
        if crossing or any(weight > 0 for _, weight in config.visual_target_weights):
            yield "a text-only model has neither region sublayers nor visual targets"
        if config.fusion_method is not Fusion.NONE:
            yield 'a text-only model has fusion_method "none"'
    elif config.num_locs not in (4, 5):
        yield f"num_locs is {config.num_locs}, expected 4 or 5"


def _head_problems(config: ModelConfig) -> Iterator[str]:
    if config.fusion_method in (Fusion.MUL, Fusion.SUM) and (
        config.pooler_size != config.v_pooler_size
    ):
        yield (
            f"fusion {config.fusion_method.value} needs equal poolers, pooler_size is "
            f"{config.pooler_size} and v_pooler_size {config.v_pooler_size}"
        )
    known = list(VISUAL_TARGETS)
    for name, weight in config.visual_target_weights:
        if weight > 0 and name not in known:
            yield f'visual target "{name}" is not one of {known[0]} ... {known[-1]}'
        elif weight > 0 and not config.region_head:
            yield f'visual target "{name}" needs a region head'
    for key in ("hidden_act", "v_hidden_act", "fusion_act"):
        if getattr(config, key) not in ACTIVATIONS:
            yield f"{key} is {getattr(config, key)!r}, expected one of {ACTIVATIONS}"
