"""Conversion at full size: a file of about 1 GB in under 3 GB of memory."""

import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.helpers.golden import rule_state_dict, rule_tensor
from tests.helpers.torch_writer import LAYOUTS, write_torch_file
from xabl import model_directory
from xabl.models.presets import PRESETS
from xabl.models.reference_names import reference_names

# Runs a module like `python -m` and ends by printing its own peak memory in KiB.
# (Not getrusage, which counts what the parent had when it started this process.)
MEASURED = """
import pathlib, re, runpy, sys
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    print("peak KiB:", re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("preset", ["ctrl_uniter_base", "ctrl_vilbert_base"])
def test_full_size_model_converts_in_little_memory(tmp_path, preset, layout):
    names = reference_names(PRESETS[preset])
    shapes = {
        names[path].name: names[path].shape[::-1]
        if names[path].transpose
        else names[path].shape
        for path in names
    }
    aliases = {alias: row.name for row in names.values() for alias in row.aliases}
    checkpoint = tmp_path / "pytorch_model_9.bin"
    write_torch_file(checkpoint, rule_state_dict(shapes, aliases, 0), layout)
    output = tmp_path / preset
    command = [sys.executable, "-c", MEASURED, "checkpoints_conversion.convert_volta"]
    command += [f"--checkpoint={checkpoint}", f"--config={preset}"]
    done = subprocess.run(
        [*command, f"--output={output}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout.rsplit("peak KiB:")[1]) // 1024
    print(f"{preset}, {layout}: {checkpoint.stat().st_size >> 20} MiB file, {peak} MiB")
    assert peak < 3 * 1024
    checkpoint.unlink()  # pytest keeps the folders of its last runs
    _, params = model_directory.load(output)
    assert len(jax.tree.leaves(params)) == len(names)
    name = "cls.predictions.transform.dense.weight"
    np.testing.assert_array_equal(
        params["mlm_head"]["transform"]["kernel"],
        rule_tensor(name, shapes[name], 0).T,
    )
    shutil.rmtree(output)
