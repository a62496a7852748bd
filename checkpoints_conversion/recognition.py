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
from checkpoints_conversion.templates import (
    LXMERT,
    VISUALBERT,
    of_its_sizes,
    templates,
)
from xabl.data.checkpoints.tensors import TensorFile
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS
from xabl.support.files import read_json

# VisualBERT was published for three detectors.
_PUBLISHED = (
    *PRESETS.values(),
    LXMERT,
    *(
        dataclasses.replace(VISUALBERT, v_feature_size=size)
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
# Likewise where the encoder was saved alone, so that nothing stands before its names.
_TELLING_ALONE = {
    "transformers_lxmert": r"encoder\.x_layers\..*",
    "visualbert": r"embeddings\.visual_projection\..*",
    "bert": r"embeddings\.word_embeddings\.weight",
}
_TRANSFORMERS = {"Lxmert": "LXMERT", "VisualBert": "VisualBERT", "Bert": "BERT"}
# What a kind is called, and which of transformers' classes saves all that is needed.
_CALLED = {
    "transformers_lxmert": ("LXMERT", "LxmertForPreTraining"),
    "visualbert": ("VisualBERT", "VisualBertForPreTraining"),
    "lxmert": ("LXMERT", "LxmertForPreTraining"),
    "volta": ("VOLTA", None),
    "bert": ("BERT", "BertForPreTraining or BertForMaskedLM"),
}

# With another value something else would be computed.
_ONLY = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "bypass_transformer": False,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recognised:
    """What a checkpoint is.

    Attributes:
        kind: how its tensors are named, one of `KINDS`.
        what: the published model it is, and how it differs from that one.
        assumed: what nothing in the file or beside it says, a remark each.
    """

    kind: str
    config: ModelConfig
    what: str
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
        found = Recognised(kind=kind, config=_named(config), what=f"as {source} says")
        if problems := misfits(file, found.config, found.names):
            raise not_this_model(file, found.config, found.names, problems, found.what)
        return found
    _check_settings(file, settings)
    candidates, errors = [], []
    for template in templates(kind, file):
        try:
            config = of_its_sizes(template, file, kind, settings)
        except UserError as error:  # not the sizes of a model with these sublayers
            errors.append(error)
            continue
        problems = misfits(file, config, KINDS[kind](config))
        distance = len(problems), len(_differences(config, template))
        candidates.append((distance, config, template))
    if not candidates:
        raise errors[0]
    _, config, template = min(candidates, key=lambda candidate: candidate[0])
    found = Recognised(
        kind=kind,
        config=_named(config),
        what=_described(kind, config, template),
        assumed=() if "num_attention_heads" in settings else _assumed(config, template),
    )
    if problems := misfits(file, found.config, found.names):
        nearest = f"the nearest model that is known, by {found.names.kind} names"
        raise not_this_model(file, found.config, found.names, problems, nearest)
    return found


def recognise_kind(file: TensorFile, settings: Mapping[str, Any]) -> str:
    """How the tensors are named, one of `KINDS`.

    Raises:
        UserError: as none of them, or without a head that predicts words.
    """
    names = [canonical_name(name) for name in file.tensors]
    kind = _kind_with(_TELLING, names)
    if kind is None and _is_known(settings):
        kind = _kind_with(_TELLING_ALONE, names)
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


def _kind_with(telling: Mapping[str, str], names: Collection[str]) -> str | None:
    found = (
        kind
        for kind, pattern in telling.items()
        if any(re.fullmatch(pattern, name) for name in names)
    )
    return next(found, None)


def _class(settings: Mapping[str, Any]) -> re.Match[str] | None:
    """Transformers' class: its model and, if any, "Model" or what it is for."""
    architectures = settings.get("architectures")
    first = architectures[:1] if isinstance(architectures, list) else []
    return re.fullmatch(r"(\w+?)(For(\w+)|Model)?", "".join(map(str, first)))


def _is_known(settings: Mapping[str, Any]) -> bool:
    """Whether the settings do not name another model than those that are known."""
    match = _class(settings)
    return match is None or match[1] in _TRANSFORMERS


def _architecture(settings: Mapping[str, Any]) -> str | None:
    """Transformers' class, in words: "LXMERT for question answering"."""
    match = _class(settings)
    if match is None or not match[2]:
        return None
    name = _TRANSFORMERS.get(match[1], match[1])
    if match[3] is None:
        return f"{name} without heads"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", match[3]).lower()
    return f"{name} for {words}"


def _unknown(names: Collection[str], settings: Mapping[str, Any]) -> str:
    if what := _architecture(settings):
        return f"{what}: not a model that is known"
    return f"not a model that is known (tensors such as {', '.join(list(names)[:3])})"


def _check_settings(file: TensorFile, settings: Mapping[str, Any]) -> None:
    for key, only in _ONLY.items():
        if settings.get(key, only) != only:
            raise UserError(
                f"{file.path.parent / 'config.json'}: {key} is {settings[key]!r}, only "
                f"{only!r} is supported"
            )


def _differences(config: ModelConfig, template: ModelConfig) -> list[str]:
    """Names of the fields that differ."""
    names = (field.name for field in dataclasses.fields(ModelConfig))
    return [name for name in names if getattr(config, name) != getattr(template, name)]


def _described(kind: str, config: ModelConfig, template: ModelConfig) -> str:
    what = f"{template.name}, {_layers(kind, config)}"
    changed = [
        f"{name} {getattr(config, name)}"
        for name in _differences(config, template)
        if isinstance(getattr(config, name), (int, float, str))
    ]
    return f"{what}, but with {', '.join(changed)}" if changed else what


def _layers(kind: str, config: ModelConfig) -> str:
    """How deep it is, as its authors count."""
    if kind == "volta":
        return f"{config.num_sublayers} sublayers"
    words, both = len(config.tt_attn_sublayers), len(config.tv_attn_sublayers)
    if kind in ("bert", "visualbert"):
        return f"{words} layers"
    regions = len(config.vv_attn_sublayers)  # the layers for both have these, too
    own = f"{words - both} layers for words, {regions - both} for regions"
    return f"{own}, {both} for both"


def _named(config: ModelConfig) -> ModelConfig:
    """With the name of the published model it is, or as one of another kind."""
    for published in _PUBLISHED:
        if dataclasses.replace(config, name=published.name) == published:
            return published
    name = "bert" if config.text_only else config.image_embeddings.name
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
    settings = read_json(path, "the settings of a checkpoint")
    return settings if "hidden_size" in settings else {}
