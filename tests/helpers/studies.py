"""Small studies on the golden world: models of two architectures, and their files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax

from tests.helpers import ablation, ablation_binaries, golden_world

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


def write_study(path: Path, regions: Path, rows: Sequence[str], *more: str) -> Path:
    """A study file of models on the golden world."""
    lines = [
        "data:",
        f"  entities: {golden_world.ENTITIES}",
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
