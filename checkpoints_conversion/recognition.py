"""What a checkpoint is, from the names and shapes of its tensors.

The names say who wrote it, the shapes what sizes it has. A `config.json` beside it says
what neither shows: attention heads, activations, dropout. What nothing says is assumed
to be as published, and told.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from checkpoints_conversion.matching import misfits, not_this_model
from checkpoints_conversion.source_names import KINDS, SourceNames, canonical_name
from xabl.data.checkpoints.tensors import TensorFile
from xabl.data.tokenizer_files import read_json
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
_LXMERT = dataclasses.replace(PRESETS["lxmert"], fusion_act="tanh")
_VISUALBERT = dataclasses.replace(
    PRESETS["ctrl_visualbert_base"],
    name="visualbert",
    add_global_imgfeat=GlobalImage.ABSENT,
    pooler_size=768,
    fusion_method=Fusion.TEXT,
    fusion_act="tanh",
    visual_target_weights=(),
    region_head=False,
)
# VisualBERT was published for three detectors.
_PUBLISHED = (
    *PRESETS.values(),
    _LXMERT,
    *(
        dataclasses.replace(_VISUALBERT, v_feature_size=size)
        for size in (512, 1024, 2048)
    ),
)

# Kinds by the names that only they have; the first that is found counts.
_TELLING = {
    "transformers_lxmert": r"lxmert\..*",
    "visualbert": r"visual_bert\..*",
    "lxmert": r"bert\.encoder\.x_layers\..*",
    "volta": r"bert\.encoder\.layer\.\d+\.attention_self\..*",
    "bert": r"bert\.encoder\.layer\.\d+\.attention\.self\..*",
}
# What a kind is called, and which of transformers' classes saves all that is needed.
_CALLED = {
    "transformers_lxmert": ("LXMERT", "LxmertForPreTraining"),
    "visualbert": ("VisualBERT", "VisualBertForPreTraining"),
    "lxmert": ("LXMERT", "LxmertForPreTraining"),
    "volta": ("VOLTA", None),
    "bert": ("BERT", "BertForPreTraining or BertForMaskedLM"),
}
_LAYER = r"bert\.encoder\.layer\.(\d+)\..*"

# What transformers' config.json tells and no tensor shows: of both streams, of one.
_TOLD_OF_BOTH = {
    "num_attention_heads",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
}
_TOLD = _TOLD_OF_BOTH | {"initializer_range", "layer_norm_eps"}
# With another value something else would be computed.
_ONLY = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "bypass_transformer": False,
}
_SEEN_AND_TOLD = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_USUAL_HEAD = 64  # numbers in an attention head of every published text stream


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recognised:
    """What a checkpoint is.

    Attributes:
        kind: how its tensors are named, one of `KINDS`.
        assumed: what nothing in the file or beside it says, a remark each.
    """

    kind: str
    config: ModelConfig
    assumed: tuple[str, ...] = ()

    @property
    def names(self) -> SourceNames:
        return KINDS[self.kind](self.config)

    @property
    def is_preset(self) -> bool:
        """Whether `--config` can name it."""
        return PRESETS.get(self.config.name) == self.config


def recognise(
    file: TensorFile, settings: Mapping[str, Any] | None = None
) -> Recognised:
    """Says which model's weights a file holds.

    Args:
        settings: of the `config.json` beside it, the reference's or transformers'.

    Raises:
        UserError: no model that is known; one without the head that predicts words;
            the settings are not this file's, or mean that something else is computed.
    """
    settings = settings or {}
    kind = recognise_kind(file, settings)
    if "tt_attn_sublayers" in settings:  # the reference's, which says everything
        source = str(file.path.parent / "config.json")
        config = ModelConfig.from_dict({"name": "config", **settings}, source=source)
        found = Recognised(kind=kind, config=_named(config))
        if problems := misfits(file, found.config, found.names):
            raise not_this_model(file, found.config, problems, f"as {source} says")
        return found
    _check_settings(file, settings)
    candidates, errors = [], []
    for template in _templates(kind, file):
        try:
            config = _of_its_sizes(template, file, kind, settings)
        except UserError as error:  # not the sizes of a model with these sublayers
            errors.append(error)
            continue
        problems = misfits(file, config, KINDS[kind](config))
        distance = len(problems), _distance(config, template)
        candidates.append((distance, config, template))
    if not candidates:
        raise errors[0]
    _, config, template = min(candidates, key=lambda candidate: candidate[0])
    found = Recognised(
        kind=kind,
        config=_named(config),
        assumed=() if "num_attention_heads" in settings else _assumed(config, template),
    )
    if problems := misfits(file, found.config, found.names):
        nearest = f"the nearest model that is known, by {found.names.kind} names"
        raise not_this_model(file, found.config, problems, nearest)
    return found


def recognise_kind(file: TensorFile, settings: Mapping[str, Any]) -> str:
    """How the tensors are named, one of `KINDS`.

    Raises:
        UserError: as none of them, or without a head that predicts words.
    """
    names = [canonical_name(name) for name in file.tensors]
    found = (
        kind
        for kind, pattern in _TELLING.items()
        if any(re.fullmatch(pattern, name) for name in names)
    )
    kind = next(found, None)
    if kind is None:
        raise UserError(
            f"{file.path}: {_unknown(names, settings)}; what can be converted is "
            "VOLTA, the original LXMERT, and transformers' LXMERT, VisualBERT and "
            "BERT, each as pretrained"
        )
    if not any(name.startswith("cls.predictions.") for name in names):
        called, whole = _CALLED[kind]
        task = " for question answering" if "answer_head" in " ".join(names) else ""
        what = _architecture(settings) or called + task
        raise UserError(
            f"{file.path}: {what}: has no heads that predict words; give the model as "
            + (f"pretrained ({whole})" if whole else "pretrained")
        )
    return kind


def _architecture(settings: Mapping[str, Any]) -> str | None:
    """Transformers' class, in words: "LXMERT for question answering"."""
    architectures = settings.get("architectures") or [""]
    match = re.fullmatch(r"(\w+?)(For(\w+)|Model)?", str(architectures[0]))
    if match is None or not match[2]:
        return None
    called = {"Lxmert": "LXMERT", "VisualBert": "VisualBERT", "Bert": "BERT"}
    name = called.get(match[1], match[1])
    if match[3] is None:
        return f"{name} without heads"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", match[3]).lower()
    return f"{name} for {words}"


def _unknown(names: Collection[str], settings: Mapping[str, Any]) -> str:
    if what := _architecture(settings):
        return f"{what}: not a model that is known"
    if "embeddings.word_embeddings.weight" in names:
        return "an encoder without heads (names begin with 'embeddings.')"
    return f"not a model that is known (tensors such as {', '.join(list(names)[:3])})"


def _check_settings(file: TensorFile, settings: Mapping[str, Any]) -> None:
    for key, only in _ONLY.items():
        if settings.get(key, only) != only:
            raise UserError(
                f"{file.path.parent / 'config.json'}: {key} is {settings[key]!r}, only "
                f"{only!r} is supported"
            )


# ---- Sizes ----


def _templates(kind: str, file: TensorFile) -> list[ModelConfig]:
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
        return [dataclasses.replace(_LXMERT, **layers)]
    layers = _layers(file, r"(?:visual_)?" + _LAYER)
    if kind == "visualbert":
        return [dataclasses.replace(_VISUALBERT, **one_stream_layers(layers))]
    return [dataclasses.replace(PRESETS["bert_base"], **bert_layers(layers))]


def _layers(file: TensorFile, pattern: str) -> int:
    matches = (re.fullmatch(pattern, canonical_name(name)) for name in file.tensors)
    return 1 + max((int(match[1]) for match in matches if match), default=-1)


def _has_its_embeddings(config: ModelConfig, file: TensorFile) -> bool:
    wanted = {
        row.name
        for path, row in reference_names(config).items()
        if path.startswith("region_embeddings/")
    }
    return bool(wanted) and wanted <= set(map(canonical_name, file.tensors))


def _of_its_sizes(
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
        seen[key] = settings[key]
        if key in _TOLD_OF_BOTH and not template.text_only:
            seen[f"v_{key}"] = settings[key]
    try:
        return dataclasses.replace(template, **seen)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error


def _sizes_seen(
    template: ModelConfig, shapes: Mapping[str | None, tuple[int, ...]]
) -> dict[str, Any]:
    """Fields that shapes show; `shapes` by reference name, kernels [out, in]."""
    names = reference_names(template)
    word_ff = min(template.t_ff_sublayers)
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
        seen["v_intermediate_size"] = seen["intermediate_size"]
    return seen | _heads_seen(template, set(shapes))


def _heads_seen(template: ModelConfig, names: set[str | None]) -> dict[str, Any]:
    """Which prediction heads and poolers there are."""
    region_head = "cls.imagePredictions."
    pattern = re.compile(rf"{re.escape(region_head)}decoder_dict\.(\w+)\.weight")
    targets = [match[1] for name in names if name and (match := pattern.match(name))]
    weights = dict(template.visual_target_weights)
    if set(targets) != set(template.visual_targets):
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
    width = seen["hidden_size"]
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


# ---- Words ----


def _distance(config: ModelConfig, template: ModelConfig) -> int:
    """How many fields differ."""
    fields = dataclasses.fields(ModelConfig)
    return sum(getattr(config, f.name) != getattr(template, f.name) for f in fields)


def _named(config: ModelConfig) -> ModelConfig:
    """With the name of the published model it is, or as one of another kind."""
    for published in _PUBLISHED:
        if dataclasses.replace(config, name=published.name) == published:
            return published
    name = "bert" if config.text_only else config.image_embeddings.value
    return dataclasses.replace(config, name=f"{name}-adapted")


def _assumed(config: ModelConfig, template: ModelConfig) -> tuple[str, ...]:
    heads = config.num_attention_heads
    unseen = f"{heads} attention heads of {config.hidden_size // heads}, activations"
    if not config.text_only:
        place = config.add_global_imgfeat.value or "absent"
        unseen += f", [IMG] {place}"
    return (f"{unseen} and dropout, as in the published {template.name}",)


def settings_beside(checkpoint: Path) -> dict[str, Any]:
    """What the `config.json` beside a file says; empty without one of a BERT's kin.

    Raises:
        UserError: it cannot be read.
    """
    path = checkpoint.parent / "config.json"
    if not path.is_file():
        return {}
    settings = read_json(path)
    return settings if "hidden_size" in settings else {}
