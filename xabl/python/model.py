"""A converted or pretrained model, loaded."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int32
from numpy.typing import ArrayLike

from xabl.data.boxes import WHOLE_IMAGE, relative_locations
from xabl.data.regions import ImageRegions
from xabl.data.word_pieces import MAX_LENGTH, WordPieces
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.config import GlobalImage, ModelConfig
from xabl.models.model import VisionLanguageBert
from xabl.models.structs import RegionInput, TextInput
from xabl.python.example import Example, make_example


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A model directory in memory.

    path: the directory.
    config: which model it is.
    params: its parameters, on the first device.
    vocabulary: the vocab.txt of its word pieces.
    """

    path: Path
    config: ModelConfig
    params: dict[str, Any]
    vocabulary: Path

    @functools.cached_property
    def word_pieces(self) -> WordPieces:
        """Its tokenizer."""
        return WordPieces(self.vocabulary, lower_case=self.config.do_lower_case)

    def example(
        self,
        image: ImageRegions | None,
        caption: str,
        *,
        phrase: Sequence[int] | str,
        boxes: ArrayLike | None = None,
        average: Float32[np.ndarray, " features"] | None = None,
    ) -> Example:
        """One phrase of a caption and an image, to be ablated.

        Args:
            image: an entry of `xabl.regions(...)`; None for a text-only model.
            caption: words separated by spaces.
            phrase: (first word, number of words), counted from 0, as `first_word` and
                `num_words` in examples.parquet; or the words themselves.
            boxes: what the phrase mentions: x1, y1, x2, y2 in pixels, or several.
            average: what takes the place of an ablated region's features; by default
                the average of the file that the image comes from.

        Raises:
            UserError: the phrase is not in the caption, a box is none, the features
                are not those the model was trained with.
        """
        return make_example(
            self.config,
            self.word_pieces,
            self.logits,
            image,
            caption,
            phrase=phrase,
            boxes=boxes,
            average=average,
        )

    def logits(
        self,
        token_ids: Int32[np.ndarray, " pieces"],
        features: Float32[np.ndarray, "regions features"] | None = None,
        mean: Float32[np.ndarray, " features"] | None = None,
        image: ImageRegions | None = None,
    ) -> tuple[Float[Array, "pieces vocabulary"], dict[str, Array]]:
        """What every head gives for one input.

        Args:
            token_ids: [CLS] ... [SEP].
            features: of the regions, ablated.
            mean: features of the [IMG] row, for models that have it.
            image: where the regions are.

        Returns:
            Logits of word pieces [pieces vocabulary], and by visual target logits of
            regions [regions classes], without the [IMG] row.
        """
        padded = np.zeros(MAX_LENGTH, np.int32)
        padded[: len(token_ids)] = token_ids
        text = TextInput(
            token_ids=padded[None],
            mask=np.arange(MAX_LENGTH)[None] < len(token_ids),
            token_type_ids=np.zeros((1, MAX_LENGTH), np.int32),
            position_shift_start=np.array([len(token_ids)], np.int32),
        )
        regions, rows = None, slice(None)
        if image is not None:
            count, num_locs = len(features), self.config.num_locs
            locations = relative_locations(
                image.boxes, np.array(image.img_w), np.array(image.img_h), num_locs
            )
            if self.config.has_image_row:
                first = self.config.add_global_imgfeat is GlobalImage.FIRST
                rows, where = (slice(1, None), 0) if first else (slice(-1), count)
                features = np.insert(features, where, mean, axis=0)
                locations = np.insert(locations, where, WHOLE_IMAGE[:num_locs], axis=0)
            regions = RegionInput(
                features=features[None],
                locations=locations[None].astype(np.float32),
                mask=np.ones((1, len(features)), bool),
            )
        words, classes = self._forward(self.params, text, regions)
        return words[0], {target: x[0, rows] for target, x in classes.items()}

    @functools.cached_property
    def _forward(self) -> Callable[..., tuple[Array, dict[str, Array]]]:
        network = VisionLanguageBert(self.config, precision="highest")

        @jax.jit
        def forward(params, text, regions):
            output = network.apply({"params": params}, text, regions)
            return output.mlm_logits, output.region_logits

        return forward

    def __repr__(self) -> str:
        return f"<model {self.config.name} of {self.path}>"


def load(path: Path | str, *, vocabulary: Path | str | None = None) -> Model:
    """Loads a model directory, as `xabl convert` and `xabl pretrain` write it.

    Args:
        vocabulary: vocab.txt of its word pieces; the one kept with the model if absent.

    Raises:
        UserError: not a model directory, a damaged one, or one without a vocabulary.
    """
    config, params = model_directory.load(path)
    vocabulary = vocabulary or model_directory.vocabulary_path(path)
    if vocabulary is None:
        raise UserError(
            f"{path}: no vocabulary was kept with this model; give the vocab.txt of "
            "its word pieces as vocabulary="
        )
    model_directory.check_vocabulary(vocabulary, config)
    return Model(
        path=Path(path), config=config, params=params, vocabulary=Path(vocabulary)
    )
