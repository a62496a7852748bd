"""Small studies: models of two architectures, and their files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax

from tests.helpers import ablation, ablation_binaries, golden_world
from xabl.data.word_pieces import read_vocabulary
from xabl.models import model_directory
from xabl.models.model import nest
from xabl.pretraining.initial_values import random_values
from xabl.synthetic.trials import (
    ARCHITECTURES,
    SmallWorld,
    Trial,
    TrialFolders,
    make_small_world,
)

BOTH = ("uniter", "two-stream")


def write_models(folder: Path, seeds: Sequence[int], kinds=BOTH) -> list[str]:
    """Model directories that differ in their parameters; rows of a study file."""
    rows = []
    for kind in kinds:
        config = dataclasses.replace(ablation.shallow(kind), name=kind)
        params = ablation.ruled_params(config)
        for seed in seeds:
            scale = 1 + seed / 100
            own = jax.tree.map(lambda leaf, scale=scale: leaf * scale, params)
            path = folder / f"{kind}-{seed}"
            ablation_binaries.save(path, config, own)
            rows.append(f"- {{label: {kind}, seed: {seed}, model: {path}}}")
    return rows


def synthetic_study(folder: Path, seeds: Sequence[int]) -> tuple[Path, str]:
    """A study of small models on a small synthetic world; the corrupt run's name."""
    world = SmallWorld(name="tiny", train_images=1, val_images=6)
    at = TrialFolders(
        root=folder, trial=Trial(name="any", label="any", world=world, steps=1)
    )
    make_small_world(at.trial, folder)
    vocabulary = at.world / "vocab.txt"
    size = len(read_vocabulary(vocabulary))
    rows = []
    for label, small in ARCHITECTURES.items():
        config = small(size, world.feature_size)
        for seed in seeds:
            params = nest(random_values(config, "uniform", seed).values)
            path = folder / f"{label}-{seed}"
            model_directory.save(path, config, params, vocabulary=vocabulary, report={})
            rows.append(f"- {{label: {label}, seed: {seed}, model: {path}}}")
    corrupt(path)
    study = write_study(
        folder / "study.yaml",
        at.regions,
        rows,
        "ablation: {thresholds: [0.5], batch_size: 4}",
        "report: {resamples: 100}",
        entities=at.entities,
    )
    return study, f"{label}-s{seed}"


def corrupt(model: Path) -> None:
    """Cuts the largest file of a model's parameters."""
    files = [path for path in (model / "params").rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])


def write_study(
    path: Path,
    regions: Path,
    rows: Sequence[str],
    *more: str,
    entities: Path = golden_world.ENTITIES,
) -> Path:
    """A study file of models, on the golden world by default."""
    lines = [
        "data:",
        f"  entities: {entities}",
        f"  regions: {regions}",
        *more,
        "models:",
        *(f"  {row}" for row in rows),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def tables(output: Path) -> dict[str, bytes]:
    """All that a study says of its models, by file."""
    paths = [output / "table.tsv", *sorted(output.glob("results/*/*.parquet"))]
    return {str(path.relative_to(output)): path.read_bytes() for path in paths}
