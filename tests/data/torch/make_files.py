"""Makes the files beside this script, with the real writer: torch 2.13.0.

    python tests/data/torch/make_files.py

The tests state the expected values themselves (tests/conversion/test_torch_files.py);
this is kept to show how the files came to be.
"""

import collections
from pathlib import Path

import torch


class TrainingLogger:
    """A class that the reader does not know."""

    def __init__(self):
        self.values = [1.0, 2.0]


def state_dict():
    numbers = torch.arange(24, dtype=torch.float32)
    table = torch.arange(6, dtype=torch.float32).reshape(3, 2) / 4
    state = collections.OrderedDict()
    state["plain"] = table
    state["same"] = table
    state["transposed"] = numbers.reshape(4, 6).t()
    state["window"] = numbers.reshape(4, 6)[1:3, 2:5]
    state["half"] = torch.tensor([1.5, -2.0]).half()
    state["bfloat16"] = torch.tensor([1.5, -3.25]).bfloat16()
    state["double"] = torch.tensor([1 / 3], dtype=torch.float64)
    state["long"] = torch.tensor([[1, -2]])
    state["scalar"] = torch.tensor(7.0)
    state["empty"] = torch.zeros(0, 3)
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    state._metadata = collections.OrderedDict(version=1)
    return state


def main():
    folder = Path(__file__).parent
    linear = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(linear.parameters())
    linear(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint = {
        "model_state_dict": state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "global_step": 3,
        "tb_logger": TrainingLogger(),
        "score": torch.tensor(0.5),
    }
    for layout, is_zip in (("zip", True), ("sequence", False)):
        for name, value in (("state_dict", state_dict()), ("checkpoint", checkpoint)):
            torch.save(
                value,
                folder / f"{name}.{layout}.bin",
                _use_new_zipfile_serialization=is_zip,
            )


if __name__ == "__main__":
    main()
