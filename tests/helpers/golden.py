"""The golden cases: parameters drawn by rule, inputs, and what the reference gave.

tests/data/golden/README.md states the rule and lists what each file holds.
"""

import dataclasses
import json
import math
import zlib
from pathlib import Path

import numpy as np

from xabl.models.config import ModelConfig

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FORWARD_CASES = tuple(sorted(path.name for path in (GOLDEN / "forward").iterdir()))
ABLATION_CASES = tuple(
    sorted(path.stem for path in (GOLDEN / "ablation").glob("*.npz"))
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """One model of the golden numbers.

    Attributes:
        shapes: of every tensor of the PyTorch state dict but the aliases.
        aliases: names that hold the same tensor as another name.
    """

    name: str
    config_file: Path
    arrays_file: Path
    seed: int
    shapes: dict[str, tuple[int, ...]]
    aliases: dict[str, str]

    @property
    def config(self) -> ModelConfig:
        return ModelConfig.from_json(self.config_file)

    def arrays(self) -> dict[str, np.ndarray]:
        """Inputs and expected outputs, by their names in the .npz file."""
        with np.load(self.arrays_file) as file:
            return dict(file)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The PyTorch state dict, aliases included (the same array under each name)."""
        return rule_state_dict(self.shapes, self.aliases, self.seed)


def forward_case(name: str) -> GoldenCase:
    """A case of golden/forward: one of `FORWARD_CASES`."""
    folder = GOLDEN / "forward" / name
    return _case(
        name, folder / "config.json", folder / "parameters.json", folder / "golden.npz"
    )


def ablation_case(name: str) -> GoldenCase:
    """A case of golden/ablation: one of `ABLATION_CASES`."""
    folder = GOLDEN / "ablation"
    return _case(
        name,
        folder / f"{name}.config.json",
        folder / f"{name}.parameters.json",
        folder / f"{name}.npz",
    )


def _case(name: str, config: Path, parameters: Path, arrays: Path) -> GoldenCase:
    listed = json.loads(parameters.read_text())
    aliases = listed.get("aliases", {})
    return GoldenCase(
        name=name,
        config_file=config,
        arrays_file=arrays,
        seed=listed["seed"],
        shapes={
            key: tuple(shape)
            for key, shape in listed["shapes"].items()
            if key not in aliases
        },
        aliases=aliases,
    )


def rule_state_dict(
    shapes: dict[str, tuple[int, ...]], aliases: dict[str, str], seed: int
) -> dict[str, np.ndarray]:
    """A PyTorch state dict filled by the golden rule."""
    tensors = {name: rule_tensor(name, shape, seed) for name, shape in shapes.items()}
    return tensors | {alias: tensors[name] for alias, name in aliases.items()}


def rule_tensor(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """One tensor by the golden rule: its values depend on its name and the seed."""
    generator = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
    x = generator.standard_normal(math.prod(shape)).astype(np.float32).reshape(shape)
    norms = ("LayerNorm", "layer_norm", "visual_ln")
    if name.endswith(".weight") and any(norm in name for norm in norms):
        return 1 + np.float32(0.1) * x
    if name.endswith("bias"):
        return np.float32(0.05) * x
    if len(shape) == 2:
        if "embedding" in name and "image" not in name:
            return np.float32(0.1) * x
        return np.float32(0.4) * x / np.float32(math.sqrt(shape[-1]))
    return np.float32(0.05) * x
