"""Masks, replaces and ablates examples: from their numbers to a batch."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from xabl.data.boxes import WHOLE_IMAGE, relative_locations
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.pretraining.corpus.reader import Corpus, CorpusImage
from xabl.pretraining.inputs import masking
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.inputs.caption_pieces import CaptionPieces
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.inputs.random_numbers import RandomNumbers


class ExampleMaker:
    """Makes the examples of one corpus for one model."""

    def __init__(
        self, corpus: Corpus, vocabulary: Path, model: ModelConfig, inputs: InputConfig
    ):
        """Checks that corpus, vocabulary, model and configuration fit together.

        Raises:
            UserError: they do not.
        """
        self.corpus = corpus
        self._model = model
        self._inputs = inputs
        self._labels = {
            label for target in model.visual_targets for label in target.labels
        }
        if model.text_only and inputs.vision_only:
            raise UserError(f"vision_only, but {model.name} is a text-only model")
        if not model.text_only:
            _check_regions(corpus, model)
        self._slots = masking.target_slots(corpus.num_boxes, inputs.region_rate)
        self._replaces = inputs.objective != 2 and not (
            inputs.vision_only or model.text_only
        )
        self._pieces = None
        if not inputs.vision_only:
            self._pieces = CaptionPieces(
                corpus.captions,
                vocabulary,
                inputs.max_words,
                lower_case=model.do_lower_case,
            )
            if self._pieces.word_pieces.size > model.vocab_size:
                raise UserError(
                    f"{vocabulary} has {self._pieces.word_pieces.size} word pieces, "
                    f"{model.name} has room for {model.vocab_size}; take the "
                    "vocabulary of the model, or set vocab_size"
                )

    def batch(
        self, seed: int, epoch: int, examples: Int64[np.ndarray, " batch"]
    ) -> PretrainingBatch:
        """The examples as they are in one epoch; -1 makes a row without targets."""
        is_example = examples >= 0
        rows = np.maximum(examples, 0)
        inputs = self._inputs
        random = RandomNumbers.draw(
            seed,
            epoch,
            rows,
            num_words=1 if inputs.vision_only else inputs.max_words,
            num_boxes=self.corpus.num_boxes,
            num_ablations=len(inputs.ablations),
        )
        is_replaced = self._replaces & (random.replace_caption < 0.5)
        itm_labels = (
            np.where(is_replaced, 1, 0) if self._replaces else np.full(len(rows), -1)
        )
        has_targets = is_example.copy()
        if inputs.objective == 1:
            has_targets &= ~is_replaced
        fields = self._words(rows, is_replaced, has_targets, random)
        if not self._model.text_only:
            fields |= self._regions(rows, has_targets, random)
        return PretrainingBatch(
            example_index=np.where(is_example, examples, -1).astype(np.int32),
            itm_labels=np.where(is_example, itm_labels, -1).astype(np.int32),
            **fields,
        )

    def _words(
        self,
        rows: Int64[np.ndarray, " batch"],
        is_replaced: Bool[np.ndarray, " batch"],
        has_targets: Bool[np.ndarray, " batch"],
        random: RandomNumbers,
    ) -> dict[str, np.ndarray]:
        """The fields of the batch that are about words."""
        if self._pieces is None:
            nothing = np.zeros((len(rows), 1), np.int32)
            return {
                "token_ids": nothing,
                "text_mask": nothing.astype(bool),
                "token_type_ids": nothing,
                "position_shift_start": nothing[:, 0],
                "mlm_targets": nothing - 1,
            }
        other = (random.other_caption * len(self.corpus)).astype(np.int64)
        token_ids, lengths = self._pieces.read(np.where(is_replaced, other, rows))
        positions = np.arange(token_ids.shape[1])
        text_mask = positions < lengths[:, None]
        is_piece = (positions > 0) & (positions < lengths[:, None] - 1)
        word_pieces = self._pieces.word_pieces
        seen, targets = masking.mask_words(
            token_ids,
            is_piece,
            random,
            self._inputs.word_rate,
            mask_id=word_pieces.mask_id,
            vocabulary=word_pieces.size,
        )
        ablated = is_piece & masking.ablated(self._inputs, random, "words")
        return {
            "token_ids": np.where(ablated, np.int32(word_pieces.mask_id), seen),
            "text_mask": text_mask,
            "token_type_ids": np.zeros_like(token_ids),
            "position_shift_start": lengths,
            "mlm_targets": np.where(has_targets[:, None], targets, np.int32(-1)),
        }

    def _regions(
        self,
        rows: Int64[np.ndarray, " batch"],
        has_targets: Bool[np.ndarray, " batch"],
        random: RandomNumbers,
    ) -> dict[str, np.ndarray]:
        """The fields of the batch that are about regions."""
        images = [self.corpus.image(int(self.corpus.image_of[row])) for row in rows]
        boxes = np.stack([image.boxes for image in images])
        num_boxes = np.array([image.num_boxes for image in images])
        is_real = np.arange(self.corpus.num_boxes) < num_boxes[:, None]
        chosen, hidden = masking.choose_regions(
            is_real, random, self._inputs.region_rate
        )
        overlapped, overlapped_by_others = masking.overlapped(
            boxes, chosen, self._inputs.overlap_threshold, self._inputs.overlap_measure
        )
        if self._inputs.overlap_masking == "zero_features":
            hidden = hidden | overlapped_by_others
        stream, box_rows = self._stream(images)
        fields = {}
        if "features" in self._labels:
            fields["unmasked_features"] = stream.copy()
            self._set_image_row(fields["unmasked_features"], box_rows, is_real)
        features = stream[:, box_rows]
        ablated = is_real & masking.ablated(self._inputs, random, "regions")
        features[ablated] = self.corpus.average_features
        features[hidden] = 0
        self._set_image_row(stream, box_rows, is_real & ~overlapped)
        target_boxes = masking.fill_slots(chosen & has_targets[:, None], self._slots)
        target_rows = np.where(target_boxes >= 0, target_boxes + box_rows.start, -1)
        region_mask = np.ones(stream.shape[:2], bool)
        region_mask[:, box_rows] = is_real
        return fields | {
            "region_features": stream,
            "region_locations": self._locations(images, boxes, box_rows),
            "region_mask": region_mask,
            "target_rows": target_rows.astype(np.int32),
            "labels": self._label_values(images, target_boxes),
        }

    def _stream(
        self, images: list[CorpusImage]
    ) -> tuple[Float32[np.ndarray, "batch regions features"], slice]:
        """Unmasked features with room for [IMG], and the rows of the boxes."""
        boxes = self.corpus.num_boxes
        first = self._model.first_box
        rows = slice(first, first + boxes)
        stream = np.empty(
            (len(images), boxes + self._model.has_image_row, self.corpus.feature_size),
            np.float32,
        )
        for example, image in enumerate(images):
            stream[example, rows] = image.features
        return stream, rows

    def _set_image_row(
        self,
        stream: Float32[np.ndarray, "batch regions features"],
        box_rows: slice,
        counted: Bool[np.ndarray, "batch boxes"],
    ) -> None:
        if self._model.has_image_row:
            row = 0 if box_rows.start else -1
            stream[:, row] = masking.image_row(stream[:, box_rows], counted)

    def _locations(
        self,
        images: list[CorpusImage],
        boxes: Float32[np.ndarray, "batch boxes 4"],
        box_rows: slice,
    ) -> Float32[np.ndarray, "batch regions locations"]:
        """Relative locations of the boxes; that of [IMG] is the whole image."""
        num_locs = self._model.num_locs
        widths = np.array([image.img_w for image in images])
        heights = np.array([image.img_h for image in images])
        num_rows = boxes.shape[1] + self._model.has_image_row
        placed = np.empty((len(images), num_rows, num_locs), np.float32)
        placed[:] = np.array(WHOLE_IMAGE[:num_locs], np.float32)
        placed[:, box_rows] = relative_locations(boxes, widths, heights, num_locs)
        return placed

    def _label_values(
        self,
        images: list[CorpusImage],
        target_boxes: Int32[np.ndarray, "batch targets"],
    ) -> dict[str, np.ndarray]:
        """Of the target regions, what the model's visual targets need."""
        numbers = (target_boxes >= 0).sum(axis=1)
        labels = {}
        for name in sorted(self._labels - {"features"}):
            like = getattr(images[0], name)
            # np.zeros takes no memory where nothing is written.
            values = np.zeros((*target_boxes.shape, *like.shape[1:]), like.dtype)
            for example, image in enumerate(images):
                targets = target_boxes[example, : numbers[example]]
                values[example, : len(targets)] = getattr(image, name)[targets]
            labels[name] = values
        return labels


def _check_regions(corpus: Corpus, model: ModelConfig) -> None:
    """Checks that the corpus has what the model reads and predicts.

    Raises:
        UserError: it does not.
    """
    name = f"{corpus.directory / corpus.split}"
    if corpus.feature_size != model.v_feature_size:
        raise UserError(
            f"{name} has {corpus.feature_size} features a region, {model.name} reads "
            f"{model.v_feature_size}; take another corpus, or set v_feature_size"
        )
    for target in model.visual_targets:
        if target.label == "cls_prob" and not corpus.has_cls_prob:
            raise UserError(
                f"{name} has no class distributions (cls_prob), which visual target "
                f'"{target.name}" of the model learns from; build it from region '
                'features that have them, or train target "6", which needs the '
                "detector's classes alone"
            )
        if target.label == "attrs_id" and not corpus.has_attributes:
            raise UserError(
                f'{name} has no attributes, which visual target "{target.name}" of the '
                "model learns from; build it from region features that have them"
            )
