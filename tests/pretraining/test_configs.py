"""Every published run, and architectures that are ablated, train at toy size."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import binaries, tiny_runs
from xabl.pretraining import configuration, launch
from xabl.pretraining.devices import Devices
from xabl.pretraining.train import pretrain

pytestmark = pytest.mark.usefixtures("compiled_once")

CONFIGS = binaries.ROOT / "experiments" / "configs"
FILES = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")
# The table of spec section 5: architecture, form of the loss, initial values and
# regime, visual leakage, text-only reference.
HYPOTHESES = {
    *("ctrl_vilbert_base", "ctrl_lxmert", "ctrl_vl_bert_base"),
    *("ctrl_visualbert_base", "ctrl_uniter_base", "ctrl_uniter_xent_base"),
    *("uniter_rnd_vl", "vilbert_rnd_vl", "uniter_rnd_v", "uniter_rnd_v_vl"),
    *("uniter_bert_v", "uniter_bert_v_vl", "uniter_overlap_none", "bert_cc"),
    *(f"uniter_overlap_{x}_0{n}" for x in ("iou", "iot") for n in (2, 4, 6)),
}


def _train(data, workdir: Path, config: str, *changes: str) -> list[dict]:
    """Three updates of the toy; its lines of metrics.jsonl."""
    resolved = launch.resolve(
        launch.Command(
            config=CONFIGS / f"{config}.py",
            workdir=workdir,
            overrides=(
                f"corpus={data}/corpus",
                f"vocabulary={data}/vocab.txt",
                "keep_epochs=false",
                *changes,
            ),
            is_toy=True,
        )
    )
    assert pretrain(resolved, workdir, devices=Devices.all(1))
    return tiny_runs.lines(workdir, "train")


def test_all_hypotheses_have_their_file():
    assert HYPOTHESES <= set(FILES)


_QUICK = {"ctrl_uniter_base", "ctrl_vl_bert_base", "uniter_rnd_v", "bert_cc"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow)
        for name in FILES
    ],
)
def test_a_published_run_at_toy_size(data, tmp_path, name):
    lines = _train(data, tmp_path / "run", name)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(math.isfinite(line["loss"]) for line in lines)
    # The first update has learning rate 0; the others change something.
    assert lines[0]["learning_rate"] == 0 and lines[1]["learning_rate"] > 0
    full = configuration.load(CONFIGS / f"{name}.py")
    expected = {"mlm"} if full.model.text_only else {"mlm", "regions_0"}
    if full.inputs.vision_only:
        expected = {"regions_0"}
    if full.inputs.objective != 2 and "regions_0" in expected and "mlm" in expected:
        expected |= {"itm"}
    watched = {"kind", "step", "loss", "gradient_norm", "learning_rate"}
    found = set(lines[0]) - watched
    assert {"regions_0" if x.startswith("regions_") else x for x in found} == expected


def test_an_architecture_is_ablated_by_its_configuration(data, tmp_path):
    """Words that see no regions; dropout is the same in both."""
    blind = _train(
        data, tmp_path / "run", "ctrl_uniter_base", "model.tv_attn_sublayers=[]"
    )
    assert all(math.isfinite(line["loss"]) for line in blind)
    whole = _train(data, tmp_path / "whole", "ctrl_uniter_base")
    assert blind[0]["mlm"] != whole[0]["mlm"]


@pytest.mark.slow
def test_weights_are_unshared_by_the_configuration(data, tmp_path):
    _train(
        data,
        tmp_path / "run",
        "ctrl_uniter_base",
        "model.single_ln_sublayers=[]",
        "model.shared_sublayers=[]",
    )
    _train(data, tmp_path / "shared", "ctrl_uniter_base")
    unshared, shared = (
        sum(
            np.size(x) for x in tiny_runs.parameters(tmp_path / name / "model").values()
        )
        for name in ("run", "shared")
    )
    assert unshared > shared
