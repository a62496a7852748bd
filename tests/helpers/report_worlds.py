"""What a report is made of beside scores: regions, images, words that fit fake ones."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.helpers.fake_results import VOCABULARY
from xabl.ablation.overlap import coverage
from xabl.data.regions import ImageRegions
from xabl.data.regions.store import write
from xabl.results.format import WORDS

NUM_REGIONS = 6


def add_regions(directory: Path, path: Path) -> dict[str, np.ndarray]:
    """Makes up regions for fake results and counts in the scores what is ablated.

    Returns the boxes of each image's regions.
    """
    table = pq.read_table(directory / "examples.parquet").to_pylist()
    sizes = {row["image_id"]: (row["img_w"], row["img_h"]) for row in table}
    rng = np.random.default_rng(0)
    images = [_image(rng, image_id, *size) for image_id, size in sizes.items()]
    write(path, images, list(sizes), {"made up": True})
    boxes = {image.image_id: image.boxes for image in images}
    by_example = {
        row["example"]: coverage(
            boxes[row["image_id"]].astype(np.float64),
            np.array(json.loads(row["boxes"]), np.float32),
        )
        for row in table
    }
    scores = pq.read_table(directory / "scores.parquet").to_pylist()
    for row in scores:
        if row["direction"] == "vis4lang":
            overlap = by_example[row["example"]]
            row["ablated_regions"] = {"none": 0, "all": len(overlap)}.get(
                row["condition"]
            )
            if row["ablated_regions"] is None:
                above = float(row["condition"].split("@")[1])
                row["ablated_regions"] = int((overlap > above).sum())
        else:
            row["target_region"] = 0
    schema = pq.read_schema(directory / "scores.parquet")
    pq.write_table(pa.Table.from_pylist(scores, schema), directory / "scores.parquet")
    return boxes


def _image(rng, image_id: str, width: int, height: int) -> ImageRegions:
    low = rng.uniform(0, [width / 2, height / 2], (NUM_REGIONS, 2))
    high = low + rng.uniform(20, [width / 2 - 1, height / 2 - 1], (NUM_REGIONS, 2))
    return ImageRegions(
        image_id=image_id,
        img_w=width,
        img_h=height,
        features=np.ones((NUM_REGIONS, 4), np.float32),
        boxes=np.concatenate([low, high], axis=1).astype(np.float32),
        objects_id=np.arange(NUM_REGIONS),
        objects_conf=np.ones(NUM_REGIONS, np.float32),
    )


def add_words(directory: Path) -> dict[tuple[int, str], list[dict]]:
    """Makes up losses by word whose mean over an example's pieces is its MLM.

    The first word of a phrase has one piece, the last those that are left. Returns the
    pieces by example and condition.
    """
    scores = pq.read_table(directory / "scores.parquet").to_pylist()
    examples = pq.read_table(directory / "examples.parquet").to_pylist()
    pieces = [
        piece
        for row in scores
        if row["mlm"] is not None
        for piece in _pieces(examples[row["example"]], row)
    ]
    columns = {name: [piece[name] for piece in pieces] for name in WORDS.schema.names}
    pq.write_table(WORDS.table(columns, len(pieces)), directory / WORDS.name)
    found: dict[tuple[int, str], list[dict]] = {}
    for piece in pieces:
        found.setdefault((piece["example"], piece["condition"]), []).append(piece)
    return found


def _pieces(example: dict, row: dict) -> Iterator[dict]:
    words = example["sentence"].split(" ")
    count = row["target_pieces"]
    for place in range(count):
        word = example["first_word"] + min(place, example["num_words"] - 1)
        start = len(" ".join(words[:word])) + (word > 0)
        loss = row["mlm"] * 2 * (place + 1) / (count + 1)  # their mean is mlm
        yield {
            "example": row["example"],
            "direction": row["direction"],
            "condition": row["condition"],
            "position": example["first_word"] + 1 + place,
            "piece": words[word] if place < example["num_words"] else "##s",
            "word": word,
            "start": start,
            "end": start + len(words[word]),
            "word_class": "noun" if place else "function",
            "loss": loss,
            "rank": 1 + place + round(row["mlm"]),
            "probability": math.exp(-loss),
        }


def add_images(directory: Path, folder: Path, suffix: str = "jpg") -> list[str]:
    """A plain image of each image id; returns the ids."""
    table = pq.read_table(directory / "examples.parquet").to_pylist()
    sizes = {row["image_id"]: (row["img_w"], row["img_h"]) for row in table}
    folder.mkdir()
    for place, (image_id, size) in enumerate(sizes.items()):
        colour = (40 + 10 * place % 200, 120, 160)
        Image.new("RGB", size, colour).save(folder / f"{image_id}.{suffix}")
    return list(sizes)


def write_class_names(path: Path) -> Path:
    """The classes of fake results, as objects_vocab.txt has them."""
    path.write_text("".join(name + "\n" for name in VOCABULARY))
    return path
