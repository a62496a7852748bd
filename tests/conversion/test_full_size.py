"""Full size: a file of about 1 GB is converted in under 3 GB of memory, and scored."""

import shutil

import jax
import numpy as np
import pytest

from benchmarks.world import make_world
from tests.helpers.ablation_binaries import columns
from tests.helpers.golden import rule_state_dict, rule_tensor
from tests.helpers.measured import peak_mib
from tests.helpers.torch_writer import LAYOUTS, write_torch_file
from xabl.models import model_directory
from xabl.models.presets import PRESETS
from xabl.models.reference_names import reference_names

CONVERSION_MIB = 3 * 1024
EVALUATION_MIB = 3 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("preset", ["ctrl_uniter_base", "ctrl_vilbert_base"])
def test_full_size_model_converts_and_is_scored(tmp_path, preset, layout):
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
    size = checkpoint.stat().st_size >> 20
    output = tmp_path / preset
    peak = peak_mib(
        "checkpoints_conversion.convert_volta",
        checkpoint=checkpoint,
        config=preset,
        output=output,
    )
    print(f"{preset}, {layout}: {size} MiB file, converted in {peak} MiB")
    assert peak < CONVERSION_MIB
    checkpoint.unlink()  # pytest keeps the folders of its last runs
    _, params = model_directory.load(output)
    assert len(jax.tree.leaves(params)) == len(names)
    name = "cls.predictions.transform.dense.weight"
    np.testing.assert_array_equal(
        params["mlm_head"]["transform"]["kernel"],
        rule_tensor(name, shapes[name], 0).T,
    )
    if layout == LAYOUTS[0]:
        assert_is_scored(tmp_path, output)
    shutil.rmtree(output)


def assert_is_scored(folder, model):
    """Some examples of a world with the real vocabulary, in both directions."""
    world = make_world(folder / "world", num_images=2)
    peak = peak_mib(
        "experiments.ablate",
        model=model,
        entities=world.entities,
        regions=world.regions,
        vocab=world.vocabulary,
        thresholds="0.5",
        limit=20,
        output=folder / "results",
    )
    print(f"{model.name}: scored in {peak} MiB")
    assert peak < EVALUATION_MIB
    scores = columns(folder / "results")
    assert len(scores["example"]) == 20 * 6
    for direction, loss in (("vis4lang", "mlm"), ("lang4vis", "mrc_kl")):
        rows = scores["direction"] == direction
        kept = rows & (scores["excluded"] == None)  # noqa: E711 - an array of objects
        assert kept.sum() > rows.sum() / 2
        assert np.isfinite(scores[loss][kept]).all()
        # Each ablation changes the answers.
        losses = scores[loss][rows].reshape(3, 20)
        assert np.nanmax(np.ptp(losses, axis=0)) > 1e-3
