"""The description of one pretraining run: all that its result depends on.

A configuration is a `PretrainingConfig`: one of the published runs, by its name
(`xabl.pretraining.configs`), or what a user's own Python file defines as `config`.
"field=value" and "part.field=value" change any field.
"""

import dataclasses
import importlib
import json
import math
import operator
import pkgutil
import runpy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from xabl.errors import UserError, check_choice, check_range, from_system
from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS, load_config
from xabl.pretraining import configs
from xabl.pretraining.inputs.config import InputConfig, TrainingAblation
from xabl.pretraining.optimiser import OptimiserConfig
from xabl.support.files import beginning, from_json

_MOST = 2**31 - 1  # updates and the like are counted in 32 bits


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitialValues:
    """Where the parameters come from before the first update.

    scheme: random values of the parameters without another source: "published" (as in
        the reference, N(0, 1) tables included) or "uniform" (BERT's rule everywhere).
    bert: model directory of a text-only BERT, for the text side.
    model: model directory with any of the parameters; not together with `bert`.
    feed_forward: "matching", or "published": how the released code loaded `model`, its
        feed-forward sublayers shuffled (see `initial_values`).
    """

    scheme: str = "published"
    bert: str | None = None
    model: str | None = None
    feed_forward: str = "matching"

    def __post_init__(self) -> None:
        check_choice("initial.scheme", self.scheme, ("published", "uniform"))
        check_choice(
            "initial.feed_forward", self.feed_forward, ("matching", "published")
        )
        if self.bert is not None and self.model is not None:
            raise UserError(
                "initial.bert and initial.model are both given; give one of them"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblationDuringTraining:
    """Scores of the ablation on a few examples while training (`ablation_watch`).

    every: number of updates between scores; None never scores.
    examples: phrases scored, spread evenly over the split.
    entities: Flickr30k Entities directory.
    regions: region features; not read for a text-only model.
    split: "train", "val" or "test".
    """

    every: int | None = None
    examples: int = 200
    entities: str = "data/flickr30k_entities"
    regions: str = "data/flickr30k_regions.h5"
    split: str = "val"

    def __post_init__(self) -> None:
        if self.every is not None:
            check_range("ablation.every", self.every, 1)
        check_range("ablation.examples", self.examples, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingConfig:
    """One run. Defaults are the controlled models' (Bugliarello et al., TACL 2021).

    name: of the run, in reports.
    model: its architecture.
    inputs: how examples are masked.
    optimiser: learning rate and arithmetic.
    initial: where parameters start.
    ablation: what is scored under ablation while training; nothing by default.
    corpus: folder that `xabl corpus` wrote.
    train_split: split of the corpus to train on.
    valid_split: split to validate on after each epoch; None validates nothing.
    vocabulary: the word pieces (vocab.txt).
    epochs: length of the run, without `steps`.
    steps: length of the run in updates; None: `epochs`.
    batch_size: examples of an update, over all devices and hosts.
    accumulation: parts in which a device computes its share of a batch, to save memory.
    seed: of initial values, order, masks and dropout.
    frozen: regular expressions; parameters whose path matches one are not updated.
    compute: "float32", or "bfloat16" (parameters and losses stay float32).
    precision: of float32 matrix products; "default" is the device's fastest.
    rematerialise: computes hidden states twice, to store fewer.
    checkpoint_every: updates between checkpoints; there is one after every epoch, too.
    keep_last: number of newest checkpoints to keep.
    keep_epochs: keeps the checkpoint and the model of every epoch.
    report_every: updates between reports of the losses.
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
        check_choice("compute", self.compute, ("float32", "bfloat16"))
        check_choice("precision", self.precision, ("default", "high", "highest"))
        for name in (
            "epochs",
            "batch_size",
            "accumulation",
            "checkpoint_every",
            "keep_last",
            "report_every",
        ):
            check_range(name, getattr(self, name), 1, _MOST)
        if self.steps is not None:
            check_range("steps", self.steps, 1, _MOST)
        check_range("seed", self.seed, 0, 2**32 - 1)


def published_runs() -> dict[str, PretrainingConfig]:
    """The configurations that `load` knows, by name."""
    runs = {}
    for file in pkgutil.iter_modules(configs.__path__):
        runs |= importlib.import_module(f"{configs.__name__}.{file.name}").RUNS
    return runs


def load(name: Path | str, overrides: Iterable[str] = ()) -> PretrainingConfig:
    """A published run by its name, or a configuration file, with changes.

    Args:
        name: one of `published_runs`, or the path of a Python file.
        overrides: see `overridden`.

    Raises:
        UserError: no such run or file, no `config` in it, or an override that does not
            fit.
    """
    name, runs = str(name), published_runs()
    try:
        if name in runs:
            config = runs[name]
        elif Path(name).is_file():
            beginning(name)
            config = runpy.run_path(name).get("config")
        else:
            raise UserError(
                "neither a file nor one of the published runs, which are "
                + ", ".join(sorted(runs))
            )
    except UserError as error:
        raise UserError(f"--config={name}: {error}") from error
    except OSError as error:
        raise from_system(error, f"--config={name}", "cannot be read") from error
    except Exception as error:  # a file of Python may raise anything
        raise UserError(f"--config={name}: {type(error).__name__}: {error}") from error
    if not isinstance(config, PretrainingConfig):
        raise UserError(
            f"--config={name}: defines no `config = PretrainingConfig(...)`"
        )
    return overridden(config, overrides)


def overridden(
    config: PretrainingConfig, overrides: Iterable[str]
) -> PretrainingConfig:
    """The configuration with fields changed.

    Args:
        config: the old one.
        overrides: such as "seed=3", "optimiser.learning_rate=2e-4",
            "model=ctrl_vilbert_base", "model.tv_attn_sublayers=[]", "frozen=[]",
            "inputs.ablations=[{\\"modality\\": \\"words\\"}]"; values as in JSON, the
            quotes of a string may be left out.

    Raises:
        UserError: not a field, or not a value of its type.
    """
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set={override}: expected field=value")
        try:
            value = from_json(text)
        except ValueError:
            value = text
        *parts, name = path.split(".")
        try:
            config = _replaced(config, parts, name, value)
        except UserError as error:
            raise UserError(f"--set={override}: {error}") from error
    return config


# Fields that say where files are, and nothing of what they hold.
LOCATIONS = (
    "corpus",
    "vocabulary",
    "initial.bert",
    "initial.model",
    "ablation.entities",
    "ablation.regions",
)


def located(config: PretrainingConfig, folder: Path) -> PretrainingConfig:
    """The configuration with its relative paths taken from a folder."""
    for location in LOCATIONS:
        path = operator.attrgetter(location)(config)
        if path is not None:
            *parts, name = location.split(".")
            config = _replaced(config, parts, name, str(folder / path))
    return config


def to_json(config: PretrainingConfig) -> dict[str, Any]:
    """The resolved configuration: every field, in types that JSON has."""
    plain = dataclasses.asdict(config) | {"model": config.model.to_dict()}
    return json.loads(json.dumps(plain))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The differences between two results of `to_json`, in lines."""
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
        return tuple(_typed(name, str, item) for item in value)
    if kind == tuple[TrainingAblation, ...] and isinstance(value, list):
        try:
            return tuple(TrainingAblation(**item) for item in value)
        except TypeError as error:
            raise UserError(f"{name}: {error}") from error
    # Of a list, the type of its entries is not one of its own.
    allowed = (kind,) if get_origin(kind) is tuple else get_args(kind) or (kind,)
    if str in allowed and isinstance(value, int | float):
        return str(value)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**64 else math.inf
    # To Python True is an int, to the reader of a command it is not a number.
    fits = [k for k in allowed if isinstance(k, type) and isinstance(value, k)]
    if not fits or (isinstance(value, bool) and bool not in allowed):
        raise UserError(f"{name} is {value!r}, which is not of type {kind}")
    return value
