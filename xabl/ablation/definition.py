"""The naive way to ablate, as the published evaluation goes about it.

Every example under every condition is an input of its own: features are ablated on
the host and shipped, captions padded to 38 pieces, batches are 16 consecutive
examples, all heads are applied everywhere. The yardstick of speed, and, written from
the definitions alone, of numbers.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from xabl.ablation.examples import PhraseExample
from xabl.data.boxes import iot, iou
from xabl.data.regions.image_regions import StackedRegions
from xabl.data.word_pieces import MAX_LENGTH
from xabl.models.config import GlobalImage, ModelConfig
from xabl.models.model import VisionLanguageBert
from xabl.models.structs import RegionInput, TextInput
from xabl.results.conditions import Condition, Direction, Level

BATCH_SIZE = 16


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NaiveAblation:
    """A model and the data it is asked about.

    average: the data set's average feature vector. precision: of matrix products.
    """

    config: ModelConfig
    params: dict
    regions: StackedRegions | None
    average: np.ndarray | None
    mask_id: int
    per_example_positions: bool = False
    precision: str = "highest"

    def losses(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> Iterator[dict[str, np.ndarray]]:
        """Losses in nats of each batch: mlm, or xe and (objectives 0, 6) kl."""
        for start in range(0, len(examples), BATCH_SIZE):
            batch = list(examples[start : start + BATCH_SIZE])
            count = len(batch)
            # One compiled shape: the last batch repeats its first example.
            batch += batch[:1] * (BATCH_SIZE - count)
            inputs = [self._input(example, condition) for example in batch]
            arrays = {
                name: np.stack([one[name] for one in inputs]) for name in inputs[0]
            }
            results = self._scores(condition.direction, arrays)
            yield {name: np.asarray(loss)[:count] for name, loss in results.items()}

    def all_losses(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> dict[str, np.ndarray]:
        """The losses of all examples."""
        batches = list(self.losses(examples, condition))
        return {
            name: np.concatenate([batch[name] for batch in batches])
            for name in batches[0]
        }

    def _scores(self, direction: Direction, arrays: dict) -> dict[str, jax.Array]:
        words, regions = self._forward(self.params, arrays)
        if direction is Direction.VIS4LANG:
            return {"mlm": self._losses[direction](words, arrays["labels"])}
        return self._losses[direction](regions, arrays)

    def _input(
        self, example: PhraseExample, condition: Condition
    ) -> dict[str, np.ndarray]:
        """One model input, on the host."""
        length = len(example.token_ids)
        token_ids = np.zeros(MAX_LENGTH, np.int32)
        token_ids[:length] = example.token_ids
        labels = np.full(MAX_LENGTH, -1, np.int32)
        if condition.direction is Direction.VIS4LANG:
            labels[example.pieces] = token_ids[example.pieces]
            token_ids[example.pieces] = self.mask_id
        elif condition.level is Level.PHRASE:
            token_ids[example.pieces] = self.mask_id
        elif condition.level is Level.ALL:
            token_ids[1 : length - 1] = self.mask_id
        start = length if self.per_example_positions else example.reference_shift_start
        text = {
            "token_ids": token_ids,
            "length": np.int32(length),
            "shift_start": np.int32(start),
            "labels": labels,
        }
        if self.regions is None:
            return text
        return text | self._region_input(example, condition)

    def _region_input(
        self, example: PhraseExample, condition: Condition
    ) -> dict[str, np.ndarray]:
        image = self.regions.image(self.regions.image_ids.index(example.image_id))
        boxes = image.boxes.astype(np.float64)
        covered = iot(boxes, example.boxes).max(axis=1)
        features = image.features.copy()
        target = -1
        if condition.direction is Direction.VIS4LANG:
            threshold = {Level.NONE: np.inf, Level.ALL: -1.0}.get(
                condition.level, condition.threshold
            )
            features[covered > threshold] = self.average
            image_row = features.mean(axis=0)
        else:
            masked = covered > 0.5
            image_row = features.mean(axis=0)
            features[masked] = 0
            if masked.any():
                shared = iou(boxes, example.boxes).max(axis=1)
                target = int(np.where(masked, shared, -1).argmax())
        x1, y1, x2, y2 = image.boxes.T
        w, h = image.img_w, image.img_h
        area = (x2 - x1) * (y2 - y1) / (w * h)
        locations = np.stack([x1 / w, y1 / h, x2 / w, y2 / h, area], axis=1)
        row = target
        whole = np.array([[0, 0, 1, 1, 1]])
        if self.config.add_global_imgfeat is GlobalImage.FIRST:
            features = np.concatenate([image_row[None], features])
            locations = np.concatenate([whole, locations])
            row = target + 1
        elif self.config.add_global_imgfeat is GlobalImage.LAST:
            features = np.concatenate([features, image_row[None]])
            locations = np.concatenate([locations, whole])
        inputs = {
            "features": features.astype(np.float32),
            "locations": locations[:, : self.config.num_locs].astype(np.float32),
            "target_row": np.int32(row),
            "objects_id": image.objects_id[target].astype(np.int32),
            "objects_conf": image.objects_conf[target],
        }
        if image.cls_prob is not None:
            inputs["cls_prob"] = image.cls_prob[target]
        return inputs

    @functools.cached_property
    def _forward(self):
        """The compiled model: parameters, inputs -> logits of every head, everywhere.

        A program of its own, so that the compiler cannot drop what no loss reads.
        """
        model = VisionLanguageBert(self.config, precision=self.precision)

        @jax.jit
        def forward(params, arrays):
            positions = jnp.arange(arrays["token_ids"].shape[1])
            text = TextInput(
                token_ids=arrays["token_ids"],
                mask=positions < arrays["length"][:, None],
                token_type_ids=jnp.zeros_like(arrays["token_ids"]),
                position_shift_start=arrays["shift_start"],
            )
            regions = None
            if "features" in arrays:
                regions = RegionInput(
                    features=arrays["features"],
                    locations=arrays["locations"],
                    mask=jnp.ones(arrays["features"].shape[:2], bool),
                )
            output = model.apply({"params": params}, text, regions)
            return output.mlm_logits, output.region_logits

        return forward

    @functools.cached_property
    def _losses(self):
        """Compiled losses of each direction, from the logits of its stream."""
        objective = next(iter(self.config.visual_targets), None)

        def mrc(region_logits, arrays):
            rows = arrays["target_row"][:, None, None]
            logits = jnp.take_along_axis(region_logits[objective], rows, axis=1)
            return _mrc(objective, logits[:, 0], arrays)

        return {
            Direction.VIS4LANG: jax.jit(_mlm),
            Direction.LANG4VIS: jax.jit(mrc),
        }


def _mlm(logits, labels):
    log_q = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(log_q, jnp.maximum(labels, 0)[..., None], axis=-1)
    is_target = labels >= 0
    return -jnp.sum(chosen[..., 0] * is_target, axis=1) / jnp.sum(is_target, axis=1)


def _mrc(objective, logits, arrays):
    log_q = jax.nn.log_softmax(logits)
    xe = -jnp.take_along_axis(log_q, arrays["objects_id"][:, None], axis=1)[:, 0]
    if objective == "3":
        return {"xe": xe * arrays["objects_conf"]}
    losses = {"xe": xe}
    if "cls_prob" in arrays:
        p = arrays["cls_prob"]
        losses["kl"] = jnp.sum(jax.scipy.special.xlogy(p, p) - p * log_q, axis=1)
    return losses
