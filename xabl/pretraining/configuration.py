"""The description of one pretraining run: all that its result depends on.

A configuration file (experiments/configs/*.py) defines `config`, a `PretrainingConfig`.
Any field can be overridden by "field=value" or "part.field=value".
"""

import dataclasses
import json
import runpy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS, load_config
from xabl.pretraining.inputs.config import InputConfig, TrainingAblation
from xabl.pretraining.optimiser import OptimiserConfig


def _choice(name: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        raise UserError(f"{name} is {value!r}, expected one of {allowed}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitialValues:
    """Where the parameters come from before the first update.

    scheme: of the parameters that come from nowhere else: "published" (what the
        reference did, N(0, 1) tables included) or "uniform" (BERT's rule everywhere).
    bert: model directory of a text-only BERT, for the text side.
    model: model directory with any of the parameters; excludes `bert`.
    feed_forward: "matching", or "published": how the released code loaded `model`, its
        feed-forward sublayers shuffled (see `initial_values`).
    """

    scheme: str = "published"
    bert: str | None = None
    model: str | None = None
    feed_forward: str = "matching"

    def __post_init__(self) -> None:
        _choice("initial.scheme", self.scheme, ("published", "uniform"))
        _choice("initial.feed_forward", self.feed_forward, ("matching", "published"))
        if self.bert is not None and self.model is not None:
            raise UserError(
                "initial.bert and initial.model are both given; parameters start from "
                "one of them"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblationDuringTraining:
    """Scores of the ablation on a few examples while training (`watch`).

    every: number of updates between scores; None never scores.
    examples: phrases scored, the first of the split.
    entities, regions, split: as for experiments.ablate; `regions` is read only if the
        model sees any.
    """

    every: int | None = None
    examples: int = 200
    entities: str = "data/flickr30k_entities"
    regions: str = "data/flickr30k_regions.h5"
    split: str = "val"

    def __post_init__(self) -> None:
        for name in ("every", "examples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"ablation.{name} is {value}, at least 1 is needed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingConfig:
    """One run. Defaults are the controlled models' (Bugliarello et al., TACL 2021).

    corpus: folder written by experiments.build_corpus.
    train_split, valid_split: its splits; without a `valid_split` nothing is validated.
    vocabulary: the word pieces (vocab.txt).
    epochs, steps: length; `steps` overrides where it is given.
    batch_size: examples an update, over all devices and hosts.
    accumulation: parts a device computes its share of the batch in, to save memory.
    frozen: regular expressions; parameters whose path matches one stay as they are.
    compute: "float32", or "bfloat16" (parameters and losses stay float32).
    precision: of float32 matrix products, "default" is the device's fastest.
    rematerialise: compute hidden states twice to store fewer.
    checkpoint_every: updates between checkpoints, besides one after every epoch.
    keep_last: checkpoints kept, besides those of the epochs.
    keep_epochs: whether the epochs' checkpoints are kept.
    report_every: updates between reports of the losses.
    ablation: what is scored under ablation while training, nothing by default.
    """

    name: str
    model: ModelConfig = PRESETS["ctrl_uniter_base"]
    inputs: InputConfig = InputConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    initial: InitialValues = InitialValues()
    ablation: AblationDuringTraining = AblationDuringTraining()
    corpus: str = "data/conceptual_captions"
    train_split: str = "train"
    valid_split: str | None = "valid"
    vocabulary: str = "data/vocab.txt"
    epochs: int = 10
    steps: int | None = None
    batch_size: int = 256
    accumulation: int = 1
    seed: int = 0
    frozen: tuple[str, ...] = ()
    compute: str = "float32"
    precision: str = "default"
    rematerialise: bool = False
    checkpoint_every: int = 1000
    keep_last: int = 2
    keep_epochs: bool = True
    report_every: int = 50

    def __post_init__(self) -> None:
        _choice("compute", self.compute, ("float32", "bfloat16"))
        _choice("precision", self.precision, ("default", "high", "highest"))
        for name in (
            "epochs",
            "batch_size",
            "accumulation",
            "checkpoint_every",
            "keep_last",
            "report_every",
        ):
            if getattr(self, name) < 1:
                raise UserError(
                    f"{name} is {getattr(self, name)}, at least 1 is needed"
                )
        if self.steps is not None and self.steps < 1:
            raise UserError(f"steps is {self.steps}, at least 1 is needed")


def load(path: Path | str, overrides: Iterable[str] = ()) -> PretrainingConfig:
    """Runs a configuration file and applies "field=value" overrides to its `config`.

    Raises:
        UserError: no such file, no `config` in it, or an override that does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"--config={path}: no such file; the published runs are in "
            "experiments/configs/"
        )
    try:
        config = runpy.run_path(str(path)).get("config")
    except UserError as error:
        raise UserError(f"--config={path}: {error}") from error
    except Exception as error:  # a file of Python may raise anything
        raise UserError(f"--config={path}: {type(error).__name__}: {error}") from error
    if not isinstance(config, PretrainingConfig):
        raise UserError(
            f"--config={path}: defines no `config = PretrainingConfig(...)`"
        )
    for override in overrides:
        config = overridden(config, override)
    return config


def overridden(config: PretrainingConfig, override: str) -> PretrainingConfig:
    """The configuration with one field changed.

    Args:
        config: the old one.
        override: such as "seed=3", "optimiser.learning_rate=2e-4",
            "model=ctrl_vilbert_base", "model.tv_attn_sublayers=[]", "frozen=[]",
            "inputs.ablations=[{\\"modality\\": \\"words\\"}]"; values as in JSON, the
            quotes of a string may be left out.

    Raises:
        UserError: not a field, or not a value of its type.
    """
    path, equals, text = override.partition("=")
    if not equals:
        raise UserError(f"--set={override}: expected field=value")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    *parts, name = path.split(".")
    try:
        return _replaced(config, parts, name, value)
    except UserError as error:
        raise UserError(f"--set={override}: {error}") from error


def to_json(config: PretrainingConfig) -> dict[str, Any]:
    """The resolved configuration, every field in it."""

    def plain(value: Any) -> Any:
        if isinstance(value, ModelConfig):
            return value.to_dict()
        if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            return {field.name: plain(getattr(value, field.name)) for field in fields}
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return value

    return plain(config)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two results of `to_json`, a line each."""
    lines = []
    for key in [*new, *(key for key in old if key not in new)]:
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += [f"{key}.{line}" for line in differences(before, after)]
        elif before != after:
            lines.append(f"{key}: {before!r} there, {after!r} now")
    return lines


def _replaced(part: Any, parents: list[str], name: str, value: Any) -> Any:
    if isinstance(part, ModelConfig):
        if parents:
            raise UserError("a model's fields have no parts")
        return ModelConfig.from_dict({**part.to_dict(), name: value}, source="model")
    here = parents[0] if parents else name
    kinds = {field.name: field.type for field in dataclasses.fields(part)}
    if here not in kinds:
        raise UserError(f"no field {here!r}; the fields here are {', '.join(kinds)}")
    if parents:
        child = getattr(part, here)
        if not dataclasses.is_dataclass(child):
            raise UserError(f"{here} has no parts")
        return dataclasses.replace(
            part, **{here: _replaced(child, parents[1:], name, value)}
        )
    return dataclasses.replace(part, **{here: _typed(here, kinds[here], value)})


def _typed(name: str, kind: Any, value: Any) -> Any:
    """A decoded JSON value as the type of a field."""
    if kind is ModelConfig:
        return load_config(str(value))
    if kind == tuple[str, ...] and isinstance(value, list):
        return tuple(str(item) for item in value)
    if kind == tuple[TrainingAblation, ...] and isinstance(value, list):
        try:
            return tuple(TrainingAblation(**item) for item in value)
        except TypeError as error:
            raise UserError(f"{name}: {error}") from error
    allowed = get_args(kind) or (kind,)
    if str in allowed and isinstance(value, int | float):
        return str(value)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # True is an int to Python, but never a number to the reader of a command.
    fits = [k for k in allowed if isinstance(k, type) and isinstance(value, k)]
    if not fits or (isinstance(value, bool) and bool not in allowed):
        raise UserError(f"{name} is {value!r}, which is not of type {kind}")
    return value
