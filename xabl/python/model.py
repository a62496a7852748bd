"""A converted or pretrained model, loaded."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

from xabl.ablation import any_model
from xabl.ablation.engine.device_regions import check_feature_size
from xabl.data.regions import ImageRegions
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.python.arguments import checked
from xabl.python.example import Example, phrase_example


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

    @functools.cached_property
    def logits(self) -> any_model.Model:
        """It as a function from words and regions to logits."""
        return any_model.flax_model(self.config, self.params)

    @checked()
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
        if (image is None) != self.config.text_only:
            sees = "sees no image: give None" if image else "sees images: give regions"
            raise UserError(f"model {self.config.name} {sees}")
        if image is not None:
            name = f"image {image.image_id}"
            check_feature_size(self.config, image.features.shape[1], name)
        encoded = self.word_pieces.encode(caption.split())
        return Example(
            config=self.config,
            logits=self.logits,
            word_pieces=self.word_pieces,
            image=image,
            phrase=phrase_example(caption, encoded, image, phrase, boxes),
            average=average,
        )

    def __repr__(self) -> str:
        return f"<model {self.config.name} of {self.path}>"


@checked(path="model", vocabulary="vocab")
def load(path: Path | str, *, vocabulary: Path | str | None = None) -> Model:
    """Loads a model directory, as `xabl convert` and `xabl pretrain` write it.

    Args:
        vocabulary: vocab.txt of its word pieces; the one kept with the model if absent.

    Raises:
        UserError: not a model directory, a damaged one, or one without a vocabulary.
    """
    config = model_directory.load_config(path)
    vocabulary = model_directory.vocabulary_of(path, config, vocabulary)
    _, params = model_directory.load(path)
    return Model(path=Path(path), config=config, params=params, vocabulary=vocabulary)
