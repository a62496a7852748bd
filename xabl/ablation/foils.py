"""Foils: does the matching head tell a caption from its foil, intact and ablated?

The ablations are those of phrases: regions take the average features, words become
[MASK] (`definition`). Source of the task: Parcalabescu et al. (VALSE, ACL 2022).
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float

from xabl.ablation.any_model import Regions, Words, region_rows, text_rows
from xabl.ablation.average import average_features
from xabl.ablation.definition import regions_seen
from xabl.ablation.digests import params_sha256
from xabl.ablation.engine.device_regions import check_feature_size
from xabl.ablation.replacement import Fill
from xabl.data.foils import FoilPair, image_ids, read_foils
from xabl.data.regions import StackedRegions, open_regions
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.model import VisionLanguageBert
from xabl.results.conditions import Level
from xabl.results.foils import (
    FOIL_CONDITIONS,
    SCORES_FILE,
    FoilCondition,
    foils_text,
    scores_table,
    write_foils,
)
from xabl.support.atomic import new_directory
from xabl.support.image_ids import canonical_id
from xabl.support.progress import Progress

_PAIRS_TOGETHER = 16
_WIDTH_STEP = 8  # texts are padded to multiples of it

# Log-odds, in nats, that words and regions match, [batch].
Matching = Callable[[Words, Regions], Float[Array, " batch"]]


def flax_matching(config: ModelConfig, params: dict) -> Matching:
    """The matching head of one of our models, compiled.

    Raises:
        UserError: it has none.
    """
    if not config.has_matching_head:
        raise UserError(
            f"model {config.name} has no head that says whether a caption matches an "
            "image, so foils cannot be asked of it"
        )
    model = VisionLanguageBert(config)

    @jax.jit
    def matching(
        params: dict, words: Words, regions: Regions
    ) -> Float[Array, " batch"]:
        rows = region_rows(config, regions)
        logits = model.apply({"params": params}, text_rows(words), rows).itm_logits
        return logits[:, 0] - logits[:, 1]

    return functools.partial(matching, params)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Foils:
    """Pairs and what is needed to show them to a model.

    rows: by image file, the row of `regions`.
    average: features that ablated regions take.
    """

    pairs: Sequence[FoilPair]
    regions: StackedRegions
    rows: dict[str, int]
    average: Float[np.ndarray, " features"]
    word_pieces: WordPieces
    max_words: int

    def scores(
        self,
        matching: Matching,
        on_progress: Callable[[int], None] = lambda count: None,
    ) -> Float[np.ndarray, "pairs conditions 2"]:
        """Of caption and foil under every condition, in the order of both."""
        found = np.zeros((len(self.pairs), len(FOIL_CONDITIONS), 2), np.float32)
        for column, condition in enumerate(FOIL_CONDITIONS):
            for start in range(0, len(self.pairs), _PAIRS_TOGETHER):
                batch = list(self.pairs[start : start + _PAIRS_TOGETHER])
                count = len(batch)
                # One compiled shape: the last batch repeats its first pair.
                batch += batch[:1] * (_PAIRS_TOGETHER - count)
                words, regions = self._inputs(batch, condition)
                scores = np.asarray(matching(words, regions)).reshape(-1, 2)
                found[start : start + count, column] = scores[:count]
                on_progress(count)
        return found

    def _inputs(
        self, pairs: Sequence[FoilPair], condition: FoilCondition
    ) -> tuple[Words, Regions]:
        """Caption and foil of each pair, one after the other."""
        inputs = []
        for pair in pairs:
            regions = self._regions(pair, condition)
            for text, differing in zip(
                (pair.caption, pair.foil), pair.differing, strict=True
            ):
                inputs.append((self._words(text, differing, condition), regions))
        return jax.tree.map(lambda *each: np.stack(each), *inputs)

    def _words(
        self, text: Sequence[str], differing: Sequence[int], condition: FoilCondition
    ) -> Words:
        encoded = self.word_pieces.encode(text, max_length=self.max_words)
        length = len(encoded.token_ids)
        hidden = {
            Level.NONE: np.zeros(length, bool),
            Level.PHRASE: np.isin(encoded.word_index, differing),
            Level.ALL: encoded.word_index >= 0,  # [CLS] and [SEP] stay
        }[condition.words]
        token_ids = np.zeros(self.max_words, np.int32)
        token_ids[:length] = np.where(
            hidden, self.word_pieces.mask_id, encoded.token_ids
        )
        return Words(
            token_ids=token_ids,
            mask=np.arange(self.max_words) < length,
            shift_starts=np.array(length, np.int32),
        )

    def _regions(self, pair: FoilPair, condition: FoilCondition) -> Regions:
        image = self.regions.image(self.rows[pair.image_file])
        hidden = np.full(image.num_boxes, condition.regions is Level.ALL)
        return regions_seen(
            image,
            hidden,
            Fill.AVERAGE,
            self.average[None],
            num_boxes=self.regions.boxes.shape[1],
        )


def prepare_foils(
    config: ModelConfig, foils: Path, regions: Path, vocabulary: Path
) -> Foils:
    """Reads pairs and the regions of their images.

    The average features are those of the pairs' images, each counted as often as it is
    in a pair.

    Raises:
        UserError: a file is missing, damaged or not for this model; a text is longer
            than the model reads.
    """
    pairs = read_foils(foils)
    word_pieces = WordPieces(vocabulary, lower_case=config.do_lower_case)
    longest = max(
        len(word_pieces.encode(text, max_length=10**6).token_ids)
        for pair in pairs
        for text in (pair.caption, pair.foil)
    )
    max_words = -(-longest // _WIDTH_STEP) * _WIDTH_STEP
    if max_words > config.max_position_embeddings:
        raise UserError(
            f"{foils}: a text has {longest} word pieces, model {config.name} reads "
            f"{config.max_position_embeddings}; leave it out of the file"
        )
    with open_regions(regions) as source:
        check_feature_size(config, source.feature_size, str(regions))
        ids = image_ids(pairs, source.image_ids, str(regions))
        stacked = source.read_all(list(dict.fromkeys(ids.values())))
    return Foils(
        pairs=pairs,
        regions=stacked,
        rows={file: stacked.rows[canonical_id(found)] for file, found in ids.items()},
        average=average_features(
            stacked, Counter(ids[pair.image_file] for pair in pairs)
        ),
        word_pieces=word_pieces,
        max_words=max_words,
    )


def run_foils(
    model: Path,
    foils: Path,
    regions: Path,
    output: Path,
    *,
    vocabulary: Path | None = None,
    label: str | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> pa.Table:
    """Scores all pairs, writes a folder of results and tells the table.

    Raises:
        UserError: as `prepare_foils` and `flax_matching`; the output is there already.
    """
    config = model_directory.load_config(model)
    vocabulary = model_directory.vocabulary_of(model, config, vocabulary)
    flax_matching(config, {})  # so that a model without the head is told at once
    with new_directory(output, overwrite, holds=SCORES_FILE) as folder:
        prepared = prepare_foils(config, foils, regions, vocabulary)
        for note in model_directory.load_report(model).get("notes", ()):
            say(f"note: {note}")
        _, params = model_directory.load(model)
        total = len(prepared.pairs) * len(FOIL_CONDITIONS)
        with Progress(total, "pairs", first="compiling") as progress:
            scores = prepared.scores(flax_matching(config, params), progress.update)
        wrong = ~np.isfinite(scores).all(axis=(1, 2))
        if wrong.any():
            raise UserError(
                f"{model}: the score of pair {prepared.pairs[wrong.argmax()].name} is "
                "not finite; are parameters and regions sound? (xabl inspect)"
            )
        table = scores_table(
            [pair.name for pair in prepared.pairs],
            [pair.image_file for pair in prepared.pairs],
            [pair.group for pair in prepared.pairs],
            scores,
        )
        rows = write_foils(
            folder,
            table,
            model={
                "label": label or config.name,
                "name": config.name,
                "params_sha256": params_sha256(params),
            },
            data={
                "pairs": len(prepared.pairs),
                "regions_sha256": prepared.regions.sha256(),
            },
        )
    say(foils_text(rows))
    return table
