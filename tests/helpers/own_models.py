"""One of our models as a function that is told what an ablation is."""

import jax
import numpy as np

from tests.helpers import ablation
from xabl.ablation.any_model import Regions, Words
from xabl.data.boxes import relative_locations
from xabl.data.word_pieces import MAX_LENGTH
from xabl.results.conditions import Direction

BATCH = 16  # one compiled shape


class RegionsOfAnything:
    """Turns ablations back into word pieces and regions of the golden world.

    asked: what was asked, one after the other.
    """

    def __init__(self, model):
        self._model, self.asked = model, []
        world = ablation.regions()
        self._images = {
            image_id: world.image(row) for row, image_id in enumerate(world.image_ids)
        }

    def __call__(self, asked):
        self.asked += [_key(one) for one in asked]
        batch = [*asked, *[asked[0]] * (BATCH - len(asked))]
        inputs = [(self._words(one), self._regions(one)) for one in batch]
        logits = self._model(*jax.tree.map(lambda *each: np.stack(each), *inputs))
        words = np.asarray(jax.nn.log_softmax(logits.words))
        regions = np.asarray(jax.nn.log_softmax(logits.regions))
        return [
            self._of_words(one, words[row])
            if one.direction is Direction.VIS4LANG
            else regions[row, one.asked_region]
            if self._sees_hidden(one)
            else None
            for row, one in enumerate(asked)
        ]

    def _sees_hidden(self, one):
        """Whether any word to be hidden is among those the model reads."""
        encoded = ablation.word_pieces().encode(one.words)
        hidden = np.flatnonzero(one.hidden_words)
        return not len(hidden) or np.isin(hidden, encoded.word_index).any()

    def _words(self, one):
        encoded = ablation.word_pieces().encode(one.words)
        hidden = np.append(one.hidden_words, False)[encoded.word_index]
        never_read = one.direction is Direction.LANG4VIS and one.way == "drop"
        instead = 0 if never_read else ablation.word_pieces().mask_id
        ids = np.where(hidden, instead, encoded.token_ids)
        padding = (0, MAX_LENGTH - len(ids))
        return Words(
            token_ids=np.pad(ids, padding).astype(np.int32),
            mask=np.pad(~(hidden & never_read), padding),
            shift_starts=np.array(len(ids), np.int32),
        )

    def _regions(self, one):
        image, hidden = self._images[one.image_id], one.hidden_boxes[:, None]
        words_asked = one.direction is Direction.VIS4LANG
        stays = ~one.hidden_boxes | (one.way != "drop" or not words_asked)
        instead = {"average": ablation.average(), "drop": ablation.average()}
        if one.donor is not None:
            instead["other_image"] = self._images[one.donor].features
        features = np.where(
            hidden,
            instead.get(one.way, 0) if words_asked else np.float32(0),
            image.features,
        ).astype(np.float32)
        known = features[stays] if words_asked else image.features
        size = np.array(one.width), np.array(one.height)
        return Regions(
            features=features,
            locations=relative_locations(one.boxes, *size, num_locs=5),
            mask=stays,
            image=known.mean(axis=0) if stays.any() else ablation.average(),
        )

    def _of_words(self, one, log_probs):
        """A list for each word asked for: empty where it is cut off."""
        encoded = ablation.word_pieces().encode(one.words)
        return [
            [
                log_probs[position, encoded.token_ids[position]]
                for position in np.flatnonzero(encoded.word_index == word)
            ]
            for word in np.flatnonzero(one.asked_words)
        ]


def _key(one):
    """What a model is told, as something to compare."""
    arrays = (one.hidden_boxes, one.hidden_words, one.asked_words)
    told = (array.tobytes() for array in arrays)
    return (one.image_id, one.caption, one.asked_region, one.way, *told)
