"""Pretraining runs that take seconds: data, configurations, and what they leave."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np

from tests.helpers import tiny_corpus, tiny_training
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.model import flatten
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.corpus.writer import write_corpus
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.optimiser import OptimiserConfig
from xabl.pretraining.small_models import shrunk

IMAGES, BATCH = 12, 8  # two captions an image, so three updates an epoch
_FEATURES = 16  # VL-BERT's coordinates take an eighth, in pairs

_FILE = """
from tests.helpers import tiny_runs

config = tiny_runs.config({folder!r}, **{changes!r})
"""


def write_data(folder: Path) -> Path:
    """A corpus with two splits and a vocabulary, for `config`; gives the folder."""
    tiny_corpus.write_vocabulary(folder)
    for split, number in (("train", IMAGES), ("valid", 3)):
        images = tiny_corpus.captioned_images(number, feature_size=_FEATURES)
        write_corpus(images, folder / "corpus", split, num_boxes=4)
    return folder


def model(name: str = "ctrl_uniter_base") -> ModelConfig:
    """One sublayer of each kind, 64 wide, with the dropout that compiles quickly."""
    narrow = tiny_training.without_dropout(shrunk(tiny_training.PRESETS[name]))
    return dataclasses.replace(
        narrow,
        hidden_dropout_prob=0.1,
        vocab_size=len(tiny_corpus.VOCABULARY),
        v_feature_size=_FEATURES,
    )


def config(folder: Path | str, **changes) -> PretrainingConfig:
    """A run on the data in `folder`: 9 updates, a checkpoint after every second."""
    settings = dict(
        name="tiny",
        model=model(),
        inputs=InputConfig(max_words=8, word_rate=0.4, region_rate=0.4),
        optimiser=OptimiserConfig(learning_rate=1e-3),
        initial=InitialValues(scheme="uniform"),
        corpus=str(Path(folder) / "corpus"),
        vocabulary=str(Path(folder) / "vocab.txt"),
        batch_size=BATCH,
        epochs=3,
        checkpoint_every=2,
        report_every=1,
    )
    return PretrainingConfig(**settings | changes)


def config_file(folder: Path, **changes) -> Path:
    """The same as a file for xabl pretrain; `changes` of plain values."""
    path = folder / "config.py"
    path.write_text(_FILE.format(folder=str(folder), changes=changes))
    return path


def parameters(directory: Path) -> dict[str, np.ndarray]:
    """Of a model directory, by path."""
    _, values = model_directory.load(directory)
    return jax.device_get(flatten(values))


def lines(workdir: Path, kind: str) -> list[dict]:
    """Lines of one kind of metrics.jsonl."""
    text = (workdir / "metrics.jsonl").read_text()
    decoded = map(json.loads, text.splitlines())
    return [line for line in decoded if line["kind"] == kind]


def left_in(workdir: Path) -> list[str]:
    """What is in the folder of a run, two levels deep."""
    found = [*workdir.glob("*"), *workdir.glob("*/*")]
    return sorted(
        str(path.relative_to(workdir))
        for path in found
        if path.parent.name != "tensorboard"  # a file for each process
    )


def assert_same_run(found: Path, expected: Path) -> None:
    """Bit-equal: every loss, every exported model; and the same files."""
    for kind in ("train", "validation"):
        assert lines(found, kind) == lines(expected, kind)
    assert left_in(found) == left_in(expected)
    models = [path.parent for path in expected.glob("**/params")]
    assert models
    for directory in models:
        there = parameters(found / directory.relative_to(expected))
        jax.tree.map(np.testing.assert_array_equal, there, parameters(directory))
