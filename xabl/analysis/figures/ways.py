"""The ways of removing in one picture: what the definition shows a model under each.

An image of six regions, of which three show the phrase, and its caption. The picture in
the README is made by

    python -m xabl.analysis.figures.ways docs/ways.svg
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xabl.ablation.any_model import Logits, Regions, Words
from xabl.ablation.definition import Definition
from xabl.ablation.examples import PhraseExample
from xabl.ablation.replacement import Donors
from xabl.analysis.figures.style import COLOURS, SETTINGS, render
from xabl.data.flickr30k_entities import Phrase
from xabl.data.regions.image_regions import StackedRegions
from xabl.models.visual_targets import VISUAL_TARGETS
from xabl.results.conditions import MAIN_THRESHOLD, Condition, Direction, Level
from xabl.results.ways import WAYS

_REGIONS, _FEATURES = 6, 8
_SHOWS_PHRASE = np.isin(np.arange(_REGIONS), (1, 2, 4))
_CAPTIONS = ("two dogs chase the red ball", "one girl eats a green apple")
_FIRST = 4  # piece of the phrase: [CLS] two dogs chase *the red ball* [SEP]
_PIECES = ["[PAD]", "[MASK]", "[CLS]", "[SEP]", *" ".join(_CAPTIONS).split()]
_TARGET = VISUAL_TARGETS["0"]


def ways_figure() -> Figure:
    """A panel for each way: [IMG] and regions by their features; below them, words."""
    regions, words = (list(WAYS[direction]) for direction in Direction)
    with matplotlib.rc_context(SETTINGS | {"axes.grid": False}):
        figure = Figure(figsize=(7.6, 3.7))
        grid = figure.add_gridspec(2, len(regions), height_ratios=(3, 1.5), hspace=0.3)
        for column, way in enumerate(regions):
            axes = figure.add_subplot(grid[0, column])
            _draw_regions(axes, _shown(Direction.VIS4LANG, way)[1])
            axes.set_title(way, family="monospace")
            labels = ["[IMG]", *(f"region {n}" for n in range(_REGIONS))]
            axes.set_yticks(np.arange(_REGIONS + 1) + 0.5, labels if not column else [])
            for label, ablated in zip(
                axes.get_yticklabels()[1:], _SHOWS_PHRASE, strict=True
            ):
                label.set_fontweight("bold" if ablated else "normal")
        axes = figure.add_subplot(grid[1, :])
        for row, way in enumerate(words):
            _draw_words(axes, row, _shown(Direction.LANG4VIS, way)[0])
        axes.set_yticks(np.arange(len(words)), words, family="monospace")
        axes.set(xlim=(-0.5, 7.5), ylim=(len(words) - 0.5, -0.5), xticks=[])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def _draw_regions(axes: Axes, shown: Regions) -> None:
    rows = np.concatenate([shown.image[:1], shown.features[0]])
    axes.pcolormesh(rows, cmap="Blues", vmin=0, vmax=1.2, edgecolors="white", lw=0.3)
    for row in 1 + np.flatnonzero(~shown.mask[0]):
        axes.fill_between([0, _FEATURES], row, row + 1, color="white")
        axes.text(_FEATURES / 2, row + 0.5, "not read", ha="center", va="center")
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_words(axes: Axes, row: int, shown: Words) -> None:
    count = int(np.flatnonzero(shown.mask[0])[-1]) + 1
    for place in range(count):
        is_phrase = _FIRST <= place < count - 1
        read = shown.mask[0, place]
        text = _PIECES[shown.token_ids[0, place]] if read else "not read"
        axes.text(
            place,
            row,
            text,
            ha="center",
            va="center",
            weight="bold" if is_phrase else "normal",
            color=COLOURS[4] if read else "#777777",
        )


def _shown(direction: Direction, way: str) -> tuple[Words, Regions]:
    """What a model is shown, a batch of equal inputs."""
    seen = []

    def model(words: Words, regions: Regions) -> Logits:
        seen.append((words, regions))
        positions, boxes = words.token_ids.shape, regions.mask.shape
        return Logits(
            words=np.zeros((*positions, len(_PIECES)), np.float32),
            regions=np.zeros((*boxes, _TARGET.size), np.float32),
        )

    examples = [_example(number) for number in range(len(_CAPTIONS))]
    regions = _two_images()
    definition = Definition(
        model=model,
        regions=regions,
        average=regions.features.mean(axis=(0, 1)),
        mask_id=_PIECES.index("[MASK]"),
        target=_TARGET,
        donors=Donors(image_ids=regions.image_ids, examples=examples),
    )
    is_region = direction is Direction.VIS4LANG
    condition = Condition(
        direction=direction,
        level=Level.OBJECT if is_region else Level.PHRASE,
        threshold=MAIN_THRESHOLD if is_region else None,
        way=None if way == next(iter(WAYS[direction])) else way,
    )
    definition.losses(examples[:1], condition)
    return seen[0]


def _two_images() -> StackedRegions:
    """Of rising and of falling features; a region is on the phrase's box or beside."""
    rising = np.linspace(0.1, 1, _REGIONS * _FEATURES, dtype=np.float32)
    rising = rising.reshape(_FEATURES, _REGIONS).T
    boxes = np.where(_SHOWS_PHRASE[:, None], [0, 0, 9, 9], [50, 50, 59, 59])
    shape = (len(_CAPTIONS), _REGIONS)
    return StackedRegions(
        image_ids=tuple(str(number) for number in range(len(_CAPTIONS))),
        num_boxes=np.full(len(_CAPTIONS), _REGIONS, np.int32),
        img_w=np.full(len(_CAPTIONS), 100, np.int32),
        img_h=np.full(len(_CAPTIONS), 100, np.int32),
        features=np.stack([rising, rising[:, ::-1]]),
        boxes=np.broadcast_to(boxes, (*shape, 4)).astype(np.float32),
        objects_id=np.zeros(shape, np.int64),
        objects_conf=np.ones(shape, np.float32),
        cls_prob=None,
    )


def _example(number: int) -> PhraseExample:
    words = _CAPTIONS[number].split()
    pieces = ["[CLS]", *words, "[SEP]"]
    length = len(pieces)
    return PhraseExample(
        number=number,
        image_id=str(number),
        img_w=100,
        img_h=100,
        caption=0,
        phrase=Phrase(chain="1", types=("other",), first_word=3, num_words=3),
        text=" ".join(words[3:]),
        sentence=_CAPTIONS[number],
        boxes=np.array([[0, 0, 9, 9]], np.float32),
        token_ids=np.array([_PIECES.index(piece) for piece in pieces], np.int32),
        word_index=np.array([-1, *range(len(words)), -1], np.int32),
        pieces=np.arange(_FIRST, length - 1),
        reference_shift_start=length,
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(render(ways_figure(), "svg"))
