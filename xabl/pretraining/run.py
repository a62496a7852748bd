"""From a configuration to everything that a run needs, checked before any work."""

import dataclasses
import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xabl.data.regions.description import RegionDescription, describe_part
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.model import VisionLanguageBert, flatten, parameter_shapes
from xabl.pretraining.ablation_watch import AblationWatch
from xabl.pretraining.configuration import PretrainingConfig
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.initial_values import (
    Initial,
    random_values,
    with_bert,
    with_model,
)
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.inputs.example_maker import ExampleMaker
from xabl.pretraining.inputs.pipeline import Share, TrainingBatches
from xabl.pretraining.objective import forward, losses
from xabl.pretraining.optimiser import is_decayed, optimiser, warmup_linear
from xabl.pretraining.train_step import TrainState
from xabl.support import arithmetic
from xabl.support.devices import Devices


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What stays the same from the first update to the last.

    config: all that its result depends on.
    devices: what it runs on.
    share: this host's rows of every batch.
    objective: model and losses.
    training: batches.
    validation: makes validation batches; None without a validation split.
    learning_rate: of each update.
    optimiser: the update rule.
    trained: paths of the parameters that are updated.
    total_steps: updates of the whole run.
    flops: arithmetic of the matrix products of one update, over all devices.
    watch: scores the model under ablation; None if the configuration has no such
        scores.
    corpus: of the training split.
    """

    config: PretrainingConfig
    devices: Devices
    share: Share
    objective: forward.Objective
    training: TrainingBatches
    validation: ExampleMaker | None
    learning_rate: optax.Schedule
    optimiser: optax.GradientTransformation
    trained: frozenset[str]
    total_steps: int
    flops: float
    watch: AblationWatch | None
    corpus: Corpus

    @functools.cached_property
    def regions(self) -> RegionDescription | None:
        """What the training's regions look like; None for a text-only model."""
        if self.config.model.text_only:
            return None
        return describe_part(self.corpus.num_images, self.corpus.image)

    def state_shapes(self) -> TrainState:
        """The state as `jax.ShapeDtypeStruct`s with their layout."""
        shapes = flatten(parameter_shapes(self.config.model))
        return jax.tree.map(
            lambda x: x.update(sharding=self.devices.replicated),
            jax.eval_shape(self._state, shapes),
        )

    def initial_state(self, values: dict[str, np.ndarray]) -> TrainState:
        """The state before the first update, on the devices."""
        state = jax.jit(self._state, out_shardings=self.devices.replicated)
        return state(values)

    def _state(self, values: dict[str, jax.Array]) -> TrainState:
        trained = {path: x for path, x in values.items() if path in self.trained}
        fixed = {path: x for path, x in values.items() if path not in self.trained}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            key=jax.random.key_data(jax.random.key(self.config.seed)),
            trained=trained,
            fixed=fixed,
            optimiser=self.optimiser.init(trained),
        )


def prepare(config: PretrainingConfig, devices: Devices, num_workers: int = 0) -> Run:
    """Opens the data, checks that it fits, and builds the run.

    Args:
        config: the run.
        devices: what it runs on.
        num_workers: processes that make training batches; 0 makes them in a thread.

    Raises:
        UserError: configuration, model, data and devices do not fit together.
    """
    share = Share(
        batch_size=config.batch_size,
        host=jax.process_index(),
        num_hosts=jax.process_count(),
    )
    devices.check_divides(config.batch_size // share.num_hosts, config.accumulation)
    weights = losses.loss_weights(config.model, config.inputs)
    vocabulary = Path(config.vocabulary)
    model_directory.check_vocabulary(vocabulary, config.model)

    def examples(split: str) -> ExampleMaker:
        corpus = Corpus(config.corpus, split)
        _check_positions(config.model, config.inputs.max_words, corpus.num_boxes)
        return ExampleMaker(corpus, vocabulary, config.model, config.inputs)

    maker = examples(config.train_split)
    training = TrainingBatches(maker, share, config.seed, num_workers)
    objective = forward.Objective(
        model=VisionLanguageBert(
            config.model,
            dtype=jnp.bfloat16 if config.compute == "bfloat16" else jnp.float32,
            precision=config.precision,
        ),
        weights=weights,
        word_rate=config.inputs.word_rate,
        region_rate=config.inputs.region_rate,
        rematerialise=config.rematerialise,
    )
    total_steps = config.steps or config.epochs * training.steps_per_epoch
    learning_rate = warmup_linear(
        config.optimiser.learning_rate,
        warmup_steps=config.optimiser.num_warmup_steps(total_steps),
        total_steps=total_steps,
    )
    part = _part_shapes(maker, config, devices)
    shapes = flatten(parameter_shapes(config.model))
    in_loss = forward.parameters_in_loss(objective, shapes, part)
    trained = _not_frozen(in_loss, config.frozen)
    return Run(
        config=config,
        devices=devices,
        share=share,
        objective=objective,
        training=training,
        validation=config.valid_split and examples(config.valid_split),
        learning_rate=learning_rate,
        optimiser=optimiser(config.optimiser, learning_rate, is_decayed(config.model)),
        trained=trained,
        total_steps=total_steps,
        flops=_flops(objective, shapes, trained, part)
        * config.accumulation
        * len(devices),
        watch=None if config.ablation.every is None else AblationWatch(config),
        corpus=maker.corpus,
    )


def initial_values(config: PretrainingConfig) -> Initial:
    """The parameters that the run starts from.

    Raises:
        UserError: a model directory to start from is missing or does not fit.
    """
    initial = random_values(config.model, config.initial.scheme, config.seed)
    if config.initial.bert is not None:
        bert, parameters = _load(config.initial.bert)
        return with_bert(initial, config.model, bert, parameters)
    if config.initial.model is not None:
        _, parameters = _load(config.initial.model)
        return with_model(
            initial,
            config.model,
            parameters,
            feed_forward=config.initial.feed_forward,
        )
    return initial


def _load(directory: str) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    config, parameters = model_directory.load(directory)
    return config, flatten(jax.tree.map(np.asarray, parameters))


def _part_shapes(
    examples: ExampleMaker, config: PretrainingConfig, devices: Devices
) -> PretrainingBatch:
    """Shapes of the part of a batch that one device computes at a time."""
    size = config.batch_size // (len(devices) * config.accumulation)
    one = examples.batch(config.seed, 0, np.zeros(1, np.int64))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype), one
    )


def _flops(
    objective: forward.Objective,
    shapes: dict[str, jax.ShapeDtypeStruct],
    trained: frozenset[str],
    part: PretrainingBatch,
) -> float:
    """Arithmetic of one part's loss and gradient."""

    def gradient(trained, fixed, part):
        return jax.value_and_grad(
            lambda trained: forward.plain_loss(objective, trained | fixed, part)
        )(trained)

    fixed = {path: shape for path, shape in shapes.items() if path not in trained}
    updated = {path: shape for path, shape in shapes.items() if path in trained}
    return arithmetic.matrix_product_flops(gradient, updated, fixed, part)


def _not_frozen(in_loss: frozenset[str], patterns: tuple[str, ...]) -> frozenset[str]:
    trained = in_loss
    for pattern in patterns:
        try:
            matches = {path for path in in_loss if re.search(pattern, path)}
        except re.error as error:
            raise UserError(
                f"frozen: {pattern!r} is no regular expression ({error})"
            ) from error
        if not matches:
            raise UserError(
                f"frozen: {pattern!r} matches no parameter of the loss; they are, for "
                f"example, {', '.join(sorted(in_loss)[:3])}"
            )
        trained = trained - matches
    if not trained:
        raise UserError("frozen: no parameter is left to train")
    return trained


def _check_positions(model: ModelConfig, max_words: int, num_boxes: int) -> None:
    """Without this check, an index beyond a table silently reads its last row."""
    needed = max_words
    if model.image_embeddings.positions_follow_words:
        needed += num_boxes + model.has_image_row
    if needed > model.max_position_embeddings:
        raise UserError(
            f"{model.name} has {model.max_position_embeddings} positions, these inputs "
            f"need {needed}; set model.max_position_embeddings or inputs.max_words"
        )
