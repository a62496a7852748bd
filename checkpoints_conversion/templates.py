"""Published models of each kind, made to the sizes that a file's tensors show."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from checkpoints_conversion.source_names import KINDS, canonical_name
from xabl.data.checkpoints.tensors import TensorFile
from xabl.errors import UserError
from xabl.models.config import Fusion, GlobalImage, ModelConfig
from xabl.models.presets import (
    PRESETS,
    bert_layers,
    lxmert_layers,
    one_stream_layers,
)
from xabl.models.reference_names import reference_names

# As their authors trained them; the preset "lxmert" is what the controlled setup makes
# of its weights, with another pooler before the matching head.
LXMERT = dataclasses.replace(PRESETS["lxmert"], fusion_act="tanh")
VISUALBERT = dataclasses.replace(
    PRESETS["ctrl_visualbert_base"],
    name="visualbert",
    add_global_imgfeat=GlobalImage.ABSENT,
    pooler_size=768,
    fusion_method=Fusion.TEXT,
    fusion_act="tanh",
    visual_target_weights=(),
    region_head=False,
)

_LAYER = r"bert\.encoder\.layer\.(\d+)\..*"
# What transformers' config.json tells and no tensor shows: of both streams, of one.
_TOLD_OF_BOTH = {
    "num_attention_heads",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
}
_TOLD = _TOLD_OF_BOTH | {"initializer_range", "layer_norm_eps"}
_SEEN_AND_TOLD = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_USUAL_HEAD = 64  # numbers in an attention head of every published text stream


def templates(kind: str, file: TensorFile) -> list[ModelConfig]:
    """Published models with these layers and, by name, these region embeddings."""
    if kind == "volta":
        layers = _layers(file, _LAYER)
        found = [
            config
            for config in PRESETS.values()
            if config.num_sublayers == layers and _has_its_embeddings(config, file)
        ]
        if not found:
            raise UserError(
                f"{file.path}: VOLTA names, but {layers} sublayers with embeddings of "
                "no preset; give its JSON configuration with --config"
            )
        return found
    if kind in ("lxmert", "transformers_lxmert"):
        encoder = r"(?:bert|lxmert)\.encoder\."
        layers = lxmert_layers(
            words=_layers(file, rf"{encoder}layer\.(\d+)\..*"),
            regions=_layers(file, rf"{encoder}r_layers\.(\d+)\..*"),
            cross=_layers(file, rf"{encoder}x_layers\.(\d+)\..*"),
        )
        return [_made(LXMERT, file, layers)]
    layers = _layers(file, r"(?:visual_)?" + _LAYER)
    if kind == "visualbert":
        return [_made(VISUALBERT, file, one_stream_layers(layers))]
    return [_made(PRESETS["bert_base"], file, bert_layers(layers))]


def _made(
    template: ModelConfig, file: TensorFile, fields: Mapping[str, Any]
) -> ModelConfig:
    try:
        return dataclasses.replace(template, **fields)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error


def _layers(file: TensorFile, pattern: str) -> int:
    """How many there are: the number of the last may be damaged, and be a million."""
    matches = (re.fullmatch(pattern, canonical_name(name)) for name in file.tensors)
    return len({match[1] for match in matches if match})


def _has_its_embeddings(config: ModelConfig, file: TensorFile) -> bool:
    wanted = {
        row.name
        for path, row in reference_names(config).items()
        if path.startswith("region_embeddings/")
    }
    return bool(wanted) and wanted <= set(map(canonical_name, file.tensors))


def of_its_sizes(
    template: ModelConfig, file: TensorFile, kind: str, settings: Mapping[str, Any]
) -> ModelConfig:
    """The template with what the tensors show, and what the settings tell."""
    source = KINDS[kind](template)
    shapes = {
        source.reference_name(canonical_name(name)): tensor.shape
        for name, tensor in file.tensors.items()
    }
    seen = _sizes_seen(template, shapes)
    for key in _SEEN_AND_TOLD:
        if key in settings and seen.get(key, settings[key]) != settings[key]:
            raise UserError(
                f"{file.path.parent / 'config.json'}: {key} is {settings[key]!r}, but "
                f"{file.path.name} has {seen[key]}: they are of two models"
            )
    if "num_attention_heads" not in settings:
        seen |= _heads(file, template, seen)
    for key in _TOLD & settings.keys():
        # An integer may stand for a number, and nothing for anything else.
        usual = type(getattr(template, key))
        if type(settings[key]) not in ((int, float) if usual is float else (usual,)):
            raise UserError(
                f"{file.path.parent / 'config.json'}: {key} is {settings[key]!r}, "
                f"expected one such as {getattr(template, key)!r}"
            )
        seen[key] = settings[key]
        if key in _TOLD_OF_BOTH and not template.text_only:
            seen[f"v_{key}"] = settings[key]
    return _made(template, file, seen)


def _sizes_seen(
    template: ModelConfig, shapes: Mapping[str | None, tuple[int, ...]]
) -> dict[str, Any]:
    """Fields that shapes show; `shapes` by reference name, kernels [out, in]."""
    names = reference_names(template)
    word_ff = min(template.t_ff_sublayers, default=0)
    region_ff = max(template.v_ff_sublayers, default=0)
    places = {  # (parameter, axis in the file)
        "vocab_size": ("text_embeddings/word/embedding", 0),
        "hidden_size": ("text_embeddings/word/embedding", 1),
        "max_position_embeddings": ("text_embeddings/position/embedding", 0),
        "type_vocab_size": ("text_embeddings/token_type/embedding", 0),
        "intermediate_size": (f"sublayers_{word_ff}/text/intermediate/kernel", 0),
        "v_intermediate_size": (
            f"sublayers_{region_ff}/regions/intermediate/kernel",
            0,
        ),
        "num_locs": ("region_embeddings/location/kernel", 1),
        "pooler_size": ("poolers/text/kernel", 0),
        "v_pooler_size": ("poolers/regions/kernel", 0),
    }
    for part in ("feature", "projection", "visual"):
        if (kernel := f"region_embeddings/{part}/kernel") in names:
            places |= {"v_hidden_size": (kernel, 0), "v_feature_size": (kernel, 1)}
    seen: dict[str, Any] = {
        field: shapes[names[path].name][axis]
        for field, (path, axis) in places.items()
        if path in names and len(shapes.get(names[path].name, ())) > axis
    }
    if template.text_only:
        return seen
    if template.v_coordinate_embeddings_dim is not None and "v_feature_size" in seen:
        seen["v_feature_size"] //= 2  # beside as many coordinates
        seen["v_coordinate_embeddings_dim"] = seen["v_feature_size"] // 8
    if template.shared_sublayers and template.single_ln_sublayers:
        seen["v_intermediate_size"] = seen.get(
            "intermediate_size", template.intermediate_size
        )
    return seen | _heads_seen(template, set(shapes))


def _heads_seen(template: ModelConfig, names: set[str | None]) -> dict[str, Any]:
    """Which prediction heads and poolers there are."""
    region_head = "cls.imagePredictions."
    pattern = re.compile(rf"{re.escape(region_head)}decoder_dict\.(\w+)\.weight")
    targets = [match[1] for name in names if name and (match := pattern.match(name))]
    weights = dict(template.visual_target_weights)
    if set(targets) != {name for name, weight in weights.items() if weight > 0}:
        weights = {target: weights.get(target, 1.0) for target in sorted(targets)}
    poolers = tuple(
        f"{module}.weight" in names
        for module in (
            "bert.t_pooler.dense",
            "bert.v_pooler.dense",
            "cls.bi_seq_relationship",
        )
    )
    fusion = {
        (False, False, False): Fusion.NONE,
        (True, False, False): Fusion.VL_BERT_VQA,
        (True, False, True): Fusion.TEXT,
    }.get(poolers, Fusion.MUL)
    has_head = f"{region_head}transform.dense.weight" in names
    has_norm = f"{region_head}transform.LayerNorm.weight" in names
    return {
        "visual_target_weights": tuple(weights.items()),
        "region_head": has_head,
        "image_head_ln": has_norm if has_head else template.image_head_ln,
        "fusion_method": fusion,
    }


def _heads(
    file: TensorFile, template: ModelConfig, seen: Mapping[str, Any]
) -> dict[str, int]:
    """Attention heads, which no tensor shows: the published ones or of usual width."""
    width = seen.get("hidden_size", template.hidden_size)
    if width == template.hidden_size:
        return {}
    if width % _USUAL_HEAD:
        raise UserError(
            f"{file.path}: the number of attention heads of a model {width} wide is "
            "not to be seen in its tensors; put its config.json beside it, or give "
            "--config"
        )
    heads = width // _USUAL_HEAD
    return {"num_attention_heads": heads, "v_num_attention_heads": heads}
