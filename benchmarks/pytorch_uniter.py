"""The published update of ctrl_uniter_base in plain PyTorch.

As the published code makes it (Bugliarello et al., TACL 2021): words and regions go
through the shared weights one after the other, heads are computed at all positions, and
Adam goes from parameter to parameter. Written for `benchmarks.pytorch_update`.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from xabl.models.config import ModelConfig
from xabl.models.heads import ITM_DROPOUT
from xabl.models.sublayers import PADDING_SCORE
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.optimiser import OptimiserConfig, is_decayed

Pair = tuple[torch.Tensor, torch.Tensor]  # words and regions, [batch positions hidden]


class Uniter:
    """A model of one stream, and its pretraining loss.

    parameters: by our paths; kernels are transposed, as PyTorch has them.
    training: whether dropout is on.
    """

    def __init__(self, config: ModelConfig, values: Mapping[str, np.ndarray]):
        self.config, self.training = config, True
        self.parameters = {
            path: torch.tensor(value.T if path.endswith("kernel") else value)
            .contiguous()
            .requires_grad_()
            for path, value in values.items()
        }

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Of a batch as `batch_of` makes it."""
        words, regions = self._embed(batch)
        for number in range(self.config.num_sublayers):
            name = f"sublayers_{number}/text"
            if number in self.config.ff_sublayers:
                words, regions = self._feed_forward(name, (words, regions))
            else:
                masks = batch["text_mask"], batch["region_mask"]
                words, regions = self._attention(name, (words, regions), masks)
        return (
            F.cross_entropy(
                self._mlm_logits(words).flatten(0, 1),
                batch["mlm_targets"].flatten(),
                ignore_index=-1,
            )
            + self._region_loss(regions, batch)
            + F.cross_entropy(self._itm_logits(words, regions), batch["itm_labels"])
        )

    def _embed(self, batch: dict[str, torch.Tensor]) -> Pair:
        ids, rate = batch["token_ids"], self.config.hidden_dropout_prob
        types = self.parameters["text_embeddings/token_type/embedding"]
        positions = torch.arange(ids.shape[1]).expand_as(ids)
        words = (
            F.embedding(ids, self.parameters["text_embeddings/word/embedding"])
            + F.embedding(
                positions, self.parameters["text_embeddings/position/embedding"]
            )
            + F.embedding(torch.zeros_like(ids), types)
        )
        at = "region_embeddings"
        features = self._dense(f"{at}/feature", batch["region_features"])
        locations = self._dense(f"{at}/location", batch["region_locations"])
        ones = torch.ones(features.shape[:2], dtype=torch.long)
        regions = (
            self._norm(f"{at}/feature_norm", features)
            + self._norm(f"{at}/location_norm", locations)
            + F.embedding(ones, types)
        )
        return (
            self._drop(self._norm("text_embeddings/norm", words), rate),
            self._drop(self._norm(f"{at}/norm", regions), rate),
        )

    def _attention(self, name: str, streams: Pair, masks: Pair) -> Pair:
        queries, keys, values = (
            [self._heads(self._dense(f"{name}/{part}", x)) for x in streams]
            for part in ("query", "key", "value")
        )
        updates = []
        for query in queries:
            query = query / math.sqrt(query.shape[-1])
            scores = [
                query @ key.transpose(-1, -2) + mask
                for key, mask in zip(keys, masks, strict=True)
            ]
            probabilities = self._drop(
                torch.cat(scores, -1).softmax(-1),
                self.config.attention_probs_dropout_prob,
            )
            parts = probabilities.split([key.shape[2] for key in keys], -1)
            context = parts[0] @ values[0] + parts[1] @ values[1]
            updates.append(context.transpose(1, 2).flatten(2))
        return self._added(name, updates, streams)

    def _feed_forward(self, name: str, streams: Pair) -> Pair:
        updates = [_gelu(self._dense(f"{name}/intermediate", x)) for x in streams]
        return self._added(name, updates, streams)

    def _added(self, name: str, updates: list[torch.Tensor], streams: Pair) -> Pair:
        """A sublayer's second half; one LayerNorm serves both streams."""
        rate = self.config.hidden_dropout_prob
        outputs = [self._drop(self._dense(f"{name}/output", x), rate) for x in updates]
        both = self._norm(f"{name}/norm", torch.cat(outputs, 1) + torch.cat(streams, 1))
        words = streams[0].shape[1]
        return both[:, :words], both[:, words:]

    def _mlm_logits(self, words: torch.Tensor) -> torch.Tensor:
        states = _gelu(self._dense("mlm_head/transform", words))
        return F.linear(
            self._norm("mlm_head/norm", states),
            self.parameters["text_embeddings/word/embedding"],
            self.parameters["mlm_head/bias"],
        )

    def _region_loss(
        self, regions: torch.Tensor, batch: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        states = _gelu(self._dense("region_head/transform", regions))
        logits = self._dense(
            "region_head/objective_0", self._norm("region_head/norm", states)
        )
        divergence = F.kl_div(
            F.log_softmax(logits, -1), batch["cls_prob"], reduction="none"
        )
        is_target = batch["is_target"]
        return (divergence * is_target[..., None]).sum() / is_target.sum().clamp(min=1)

    def _itm_logits(self, words: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        text = F.relu(self._dense("poolers/text", words[:, 0]))
        fused = text * F.relu(self._dense("poolers/regions", regions[:, 0]))
        return self._dense("itm_head/decoder", self._drop(fused, ITM_DROPOUT))

    def _dense(self, path: str, states: torch.Tensor) -> torch.Tensor:
        kernel, bias = (self.parameters[f"{path}/{x}"] for x in ("kernel", "bias"))
        return F.linear(states, kernel, bias)

    def _norm(self, path: str, states: torch.Tensor) -> torch.Tensor:
        scale, bias = (self.parameters[f"{path}/{x}"] for x in ("scale", "bias"))
        epsilon = self.config.layer_norm_eps
        return F.layer_norm(states, states.shape[-1:], scale, bias, epsilon)

    def _drop(self, states: torch.Tensor, rate: float) -> torch.Tensor:
        return F.dropout(states, rate, self.training)

    def _heads(self, states: torch.Tensor) -> torch.Tensor:
        heads = self.config.num_attention_heads
        return states.unflatten(-1, (heads, -1)).transpose(1, 2)


class Adam:
    """pytorch_transformers' AdamW, which clips the gradient first."""

    def __init__(
        self,
        config: OptimiserConfig,
        parameters: Mapping[str, torch.Tensor],
        decayed: Mapping[str, bool],
    ):
        self.config, self.parameters, self.decayed = config, parameters, decayed
        self.moments = {
            path: (torch.zeros_like(x), torch.zeros_like(x))
            for path, x in parameters.items()
        }
        self.count = 0

    @torch.no_grad()
    def update(self, learning_rate: float) -> None:
        """Changes the parameters by their gradients, which are then no more."""
        config = self.config
        parameters = [x for x in self.parameters.values() if x.grad is not None]
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        self.count += 1
        size = learning_rate * math.sqrt(1 - config.beta2**self.count)
        size /= 1 - config.beta1**self.count
        for path, parameter in self.parameters.items():
            gradient, (first, second) = parameter.grad, self.moments[path]
            if gradient is None:
                continue
            first.mul_(config.beta1).add_(gradient, alpha=1 - config.beta1)
            second.mul_(config.beta2)
            second.addcmul_(gradient, gradient, value=1 - config.beta2)
            root = second.sqrt().add_(config.epsilon)
            parameter.addcdiv_(first, root, value=-size)
            if self.decayed[path]:
                parameter.add_(parameter, alpha=-learning_rate * config.weight_decay)
            parameter.grad = None


class Training:
    """Updates of a model of one stream.

    Args:
        values: parameters by our paths.
        batches: what is trained on, in turn.
        rates: learning rate of each update.
    """

    def __init__(
        self,
        config: ModelConfig,
        recipe: OptimiserConfig,
        values: Mapping[str, np.ndarray],
        batches: Sequence[PretrainingBatch],
        rates: Sequence[float],
    ):
        self.model = Uniter(config, values)
        self.adam = Adam(recipe, self.model.parameters, is_decayed(config))
        self.batches, self.rates = [batch_of(batch) for batch in batches], rates

    def update(self, number: int) -> float:
        """Makes update `number`, 0 ...; gives its loss."""
        loss = self.model.loss(self.batches[number % len(self.batches)])
        loss.backward()
        self.adam.update(self.rates[number])
        return loss.item()

    def loss_without_dropout(self) -> float:
        """Of the first batch."""
        self.model.training = False
        loss = self.model.loss(self.batches[0]).item()
        self.model.training = True
        return loss


def batch_of(batch: PretrainingBatch) -> dict[str, torch.Tensor]:
    """Our batch as the published code has it: the classes of all regions."""
    rows, given = batch.target_rows, batch.labels["cls_prob"]
    is_target = np.zeros(batch.region_mask.shape, bool)
    classes = np.zeros((*is_target.shape, given.shape[-1]), np.float32)
    examples, slots = np.nonzero(rows >= 0)
    is_target[examples, rows[examples, slots]] = True
    classes[examples, rows[examples, slots]] = given[examples, slots]
    return {
        "token_ids": torch.tensor(batch.token_ids).long(),
        "text_mask": _scores(batch.text_mask),
        "region_features": torch.tensor(batch.region_features),
        "region_locations": torch.tensor(batch.region_locations),
        "region_mask": _scores(batch.region_mask),
        "mlm_targets": torch.tensor(batch.mlm_targets).long(),
        "itm_labels": torch.tensor(batch.itm_labels).long(),
        "cls_prob": torch.tensor(classes),
        "is_target": torch.tensor(is_target),
    }


def _scores(mask: np.ndarray) -> torch.Tensor:
    """What is added to the scores of keys, [batch 1 1 keys]."""
    scores = np.where(mask, 0, PADDING_SCORE).astype(np.float32)
    return torch.tensor(scores[:, None, None])


def _gelu(x: torch.Tensor) -> torch.Tensor:
    # As published: four passes over memory, where torch's own takes one.
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
