"""A converted or pretrained model, loaded."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xabl.data.regions import ImageRegions
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.config import ModelConfig
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
        return WordPieces(self.vocabulary)

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
