"""Parameters before the first update, and where each of them comes from.

Random values follow the reference's code as measured on its models (Bugliarello et
al., TACL 2021), or BERT's simpler rule. Each parameter has a seed of its own, made from
the run's seed and its path, so that models with parameters in common start alike there.
"""

import dataclasses
import math
import re
import zlib
from collections import Counter

import numpy as np

from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.reference_names import reference_names
from xabl.models.region_embedding import Draw

Parameters = dict[str, np.ndarray]

_XAVIER = ("mlm_head/", "region_head/", "itm_head/")
_SUBLAYER = re.compile(r"sublayers_(\d+)/(.*)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Initial:
    """Parameters and their origins.

    values: by path.
    origin: by path, where they come from, in words.
    """

    values: Parameters
    origin: dict[str, str]

    def summary(self) -> str:
        """A line for each origin: "148 parameters: BERT (bert_base)"."""
        counts = Counter(self.origin.values())
        return "\n".join(
            f"{count} parameters: {origin}" for origin, count in counts.most_common()
        )


def random_values(config: ModelConfig, scheme: str, seed: int) -> Initial:
    """The parameters of an untrained model.

    Args:
        config: which model.
        scheme: "published" or "uniform", see `InitialValues`.
        seed: the run's.
    """
    values, origin = {}, {}
    for path, tensor in reference_names(config).items():
        draws = np.random.default_rng([seed, zlib.crc32(path.encode())])
        values[path], origin[path] = _draw(path, tensor.shape, config, scheme, draws)
    for module, draw in config.image_embeddings.draws.items():
        if scheme == "published" and draw is Draw.COPY:
            ours = f"{module}/embedding"
            theirs = ours.replace("region_embeddings", "text_embeddings")
            values[ours] = values[theirs].copy()
            origin[ours] = "random, a copy of the text's table"
    return Initial(values=values, origin=origin)


def _draw(
    path: str,
    shape: tuple[int, ...],
    config: ModelConfig,
    scheme: str,
    draws: np.random.Generator,
) -> tuple[np.ndarray, str]:
    """One parameter and the name of its distribution."""
    module, _, kind = path.rpartition("/")
    published = scheme == "published"
    draw = config.image_embeddings.draws.get(module) if published else None
    if draw is Draw.LINEAR:
        location = module.endswith("/location")
        fan_in = config.num_locs if location else config.v_feature_size
        return _uniform(draws, shape, 1 / math.sqrt(fan_in))
    if draw is Draw.ZERO:
        return _constant(shape, 0)
    if kind in ("bias", "scale"):
        return _constant(shape, int(kind == "scale"))
    if draw is Draw.UNIT_NORMAL:
        return _normal(draws, shape, 1.0)
    if published and (
        draw is Draw.XAVIER
        or path.startswith(_XAVIER)
        or path == "text_embeddings/word/embedding"
    ):
        return _uniform(draws, shape, math.sqrt(6 / sum(shape)))
    return _normal(draws, shape, config.initializer_range)


def _normal(draws, shape, deviation) -> tuple[np.ndarray, str]:
    values = draws.standard_normal(shape, np.float32) * np.float32(deviation)
    return values, f"random, N(0, {deviation:g})"


def _uniform(draws, shape, bound) -> tuple[np.ndarray, str]:
    values = draws.uniform(-bound, bound, shape).astype(np.float32)
    return values, "random, uniform by its size"


def _constant(shape, value) -> tuple[np.ndarray, str]:
    return np.full(shape, value, np.float32), f"constant {value}"


def with_bert(
    initial: Initial, config: ModelConfig, bert: ModelConfig, parameters: Parameters
) -> Initial:
    """Replaces the text side by a text-only BERT; shared sublayers are both sides.

    Args:
        initial: the values of the other parameters.
        config: the model.
        bert: BERT's configuration.
        parameters: BERT's, by path.

    Raises:
        UserError: not a BERT, or one of other sizes or with too few layers.
    """
    if not bert.text_only:
        raise UserError(
            f"initial.bert: {bert.name} is not a text-only BERT; initial.model starts "
            "from any other model"
        )
    prefixes = {kept: kept for kept in ("text_embeddings/", "mlm_head/")}
    for field in ("bert_layer2attn_sublayer", "bert_layer2ff_sublayer"):
        theirs = dict(getattr(bert, field))
        for layer, sublayer in getattr(config, field):
            if layer not in theirs:
                raise UserError(
                    f"initial.bert: {bert.name} has no layer {layer}, from which "
                    f"sublayer {sublayer} of {config.name} starts; set "
                    f"model.{field} to the layers there are"
                )
            prefixes[f"sublayers_{sublayer}/text/"] = f"sublayers_{theirs[layer]}/text/"
    values, origin = dict(initial.values), dict(initial.origin)
    for path in values:
        ours = next((prefix for prefix in prefixes if path.startswith(prefix)), None)
        if ours is None:
            continue
        source = parameters[prefixes[ours] + path.removeprefix(ours)]
        if path == "text_embeddings/token_type/embedding":
            # VL-BERT's third row, the regions' type, is not BERT's.
            source = np.concatenate([source[:2], values[path][2:]])
        values[path] = _fitting(
            path, source, values[path], f"initial.bert ({bert.name})"
        )
        origin[path] = f"BERT ({bert.name})"
    return Initial(values=values, origin=origin)


def with_model(
    initial: Initial,
    config: ModelConfig,
    parameters: Parameters,
    *,
    feed_forward: str = "matching",
) -> Initial:
    """Replaces every parameter that another model has under the same path.

    When the released code loads the first stage of a two-stage pretraining, it takes
    the number of a feed-forward sublayer for that of a BERT layer: sublayer n goes
    where BERT's layer n belongs, and stays random itself unless another goes there. The
    published two-stage rows (Frank et al., 2021) come from that;
    `feed_forward="published"` repeats it.

    Args:
        initial: the values of the other parameters.
        config: the model.
        parameters: the other model's, by path.
        feed_forward: "matching" or "published".

    Raises:
        UserError: a parameter of another size, or none in common.
    """
    values, origin = dict(initial.values), dict(initial.origin)
    for path, value in values.items():
        source = path
        if feed_forward == "published":
            source = _as_released(path, config)
        if source in parameters:
            values[path] = _fitting(path, parameters[source], value, "initial.model")
            origin[path] = "model" if source == path else "model, another sublayer"
    if not any(source.startswith("model") for source in origin.values()):
        raise UserError("initial.model has no parameter in common with this model")
    return Initial(values=values, origin=origin)


def _as_released(path: str, config: ModelConfig) -> str | None:
    """Which parameter the released code took for a path; None: it stayed random."""
    match = _SUBLAYER.fullmatch(path)
    if not match or int(match[1]) not in config.ff_sublayers:
        return path
    sublayer, rest = int(match[1]), match[2]
    moves = {
        layer: target
        for layer, target in config.bert_layer2ff_sublayer
        if layer in config.ff_sublayers
    }
    for source, target in moves.items():
        if target == sublayer:
            return f"sublayers_{source}/{rest}"
    return None if sublayer in moves else path


def _fitting(path: str, source: np.ndarray, value: np.ndarray, name: str) -> np.ndarray:
    if source.shape != value.shape:
        raise UserError(
            f"{name}: {path} has shape {source.shape}, this model {value.shape}; start "
            "from a model of the same sizes (or change model.* to them)"
        )
    return np.asarray(source, np.float32)
