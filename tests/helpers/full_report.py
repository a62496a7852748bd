"""A report of three models with all a report can hold, for tests in a browser."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers.fake_results import FakeModel, text_only, write_study
from tests.helpers.report_worlds import (
    add_images,
    add_regions,
    add_words,
    write_class_names,
)
from xabl.analysis.report import ReportOptions, write_report

MODELS = (
    FakeModel(seed=None),
    FakeModel(label="ViLBERT", name="ctrl_vilbert_base", seed=None, mlm_effect=-0.4),
    text_only("BERT-CC", 5.4),
)
LN2 = math.log(2)


def _share_a_caption(directory):
    """The first two phrases become those of one caption."""
    path = directory / "examples.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    first, second = rows[:2]
    sentence = f"See {first['phrase']} near {second['phrase']} ."
    first |= {"sentence": sentence, "first_word": 1}
    second |= {"sentence": sentence, "first_word": 2 + first["num_words"]}
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def write_models(
    folder: Path, *, num_images: int, predictions: int
) -> tuple[list[Path], list[str]]:
    """Results of the models, regions and pictures; directories and image ids."""
    directories = write_study(
        folder / "results", list(MODELS), num_images=num_images, predictions=predictions
    )
    for number, directory in enumerate(directories[:2]):
        add_regions(directory, folder / f"regions{number}.h5")
    return directories, add_images(directories[0], folder / "images")


def write_page(folder: Path, directories: list[Path]) -> Path:
    """Their report with all that `write_models` made for it."""
    write_report(
        directories,
        folder / "report.html",
        ReportOptions(
            images=folder / "images",
            regions=folder / "regions0.h5",
            class_names=write_class_names(folder / "objects_vocab.txt"),
            resamples=100,
        ),
    )
    return folder / "report.html"


def write_full_report(folder: Path) -> tuple[Path, dict, dict]:
    """A report; losses of the words in bits and of the phrases, by model."""
    directories, _ = write_models(folder, num_images=30, predictions=2)
    for directory in directories:
        _share_a_caption(directory)
    words = {"UNITER": add_words(directories[0]), "ViLBERT": add_words(directories[1])}
    page = write_page(folder, directories)
    scores = {}
    for model, directory in zip(MODELS, directories, strict=True):
        table = pq.read_table(directory / "scores.parquet").to_pandas()
        table = table[table["direction"] == "vis4lang"]
        bits = table.pivot(index="example", columns="condition", values="mlm") / LN2
        scores[model.label] = bits
    return page, words, scores
