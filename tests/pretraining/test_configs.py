"""Every published run, and architectures that are ablated, train at toy size."""

import functools
import importlib
import math
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import tiny_runs
from xabl.errors import UserError
from xabl.pretraining import configs, configuration, launch
from xabl.pretraining.configs import uniter_overlap
from xabl.pretraining.train import pretrain
from xabl.support.devices import Devices

NAMES = configuration.published_runs()
# The table of spec section 5: architecture, form of the loss, initial values and
# regime, visual leakage, text-only reference.
HYPOTHESES = {
    *("ctrl_vilbert_base", "ctrl_lxmert", "ctrl_vl_bert_base"),
    *("ctrl_visualbert_base", "ctrl_uniter_base", "ctrl_uniter_xent_base"),
    *("uniter_rnd_vl", "vilbert_rnd_vl", "uniter_rnd_v", "uniter_rnd_v_vl"),
    *("uniter_bert_v", "uniter_bert_v_vl", "uniter_overlap", "bert_cc"),
}


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory, quick_compilation):
    """trained(run, *changes): the folder of the toy's three updates, made once.

    One of them validates, too; compiling that for all takes long.
    """

    @functools.cache
    def train(config: str, *changes: str) -> Path:
        if (config, *changes) != ("ctrl_uniter_base",):
            changes = ("valid_split=null", *changes)
        resolved = launch.resolve(
            config,
            (
                f"corpus={data}/corpus",
                f"vocabulary={data}/vocab.txt",
                "keep_epochs=false",
                *changes,
            ),
            is_toy=True,
        )
        workdir = tmp_path_factory.mktemp("run")
        assert pretrain(resolved, workdir, devices=Devices.all(1))
        return workdir

    return train


def test_all_hypotheses_have_their_run():
    assert HYPOTHESES <= set(NAMES)


@pytest.mark.parametrize(
    "file", [file.name for file in pkgutil.iter_modules(configs.__path__)]
)
def test_every_file_states_what_to_expect_and_the_command(file):
    module = importlib.import_module(f"{configs.__name__}.{file}")
    expected = module.__doc__.partition("Expected")[2]
    assert re.search(r"\d", expected)
    (example,) = re.findall(r"^  xabl pretrain --config=(\w+) ", module.__doc__, re.M)
    assert example in module.RUNS
    for name, config in module.RUNS.items():
        assert name in module.__doc__
        assert config.name.replace("-", "_") == name


def test_one_run_has_all_overlap_thresholds():
    """Every row of the table in its docstring can be set."""
    rows = re.findall(r"^  ([\d.]+) +(iou|iot) ", uniter_overlap.__doc__, re.M)
    assert len(set(rows)) == 7
    for threshold, measure in rows:
        config = configuration.load(
            "uniter_overlap",
            [
                f"inputs.overlap_threshold={threshold}",
                f"inputs.overlap_measure={measure}",
            ],
        )
        assert config.inputs.overlap_threshold == float(threshold)
        assert config.inputs.overlap_measure == measure


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(UserError, match=r"uniter_ovrlap: neither .*, uniter_overlap,"):
        configuration.load("uniter_ovrlap")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.learning_rate=NaN", "learning_rate is nan, expected 0 to"),
        ("optimiser.learning_rate=-1e-4", "learning_rate is -0.0001, expected 0 to"),
        (f"optimiser.weight_decay=1{'0' * 400}", "weight_decay is inf, expected 0"),
        ("optimiser.beta1=0", "beta1 is 0.0, expected"),  # whose logarithm is taken
        ("optimiser.beta2=1", "beta2 is 1.0, expected"),
        ("optimiser.clip_norm=0", "clip_norm is 0.0, expected"),
        ("inputs.overlap_threshold=NaN", "overlap_threshold is nan"),
        ("seed=-1", "seed is -1, expected 0 to"),
        (f"steps={2**31}", f"steps is {2**31}, expected 1 to"),
        ("frozen=abc", "frozen is 'abc', which is not of type"),  # not a, b and c
        ("frozen=[null]", "frozen is None"),
        ('inputs.ablations=[{"modality": "words", "share": "x"}]', "(?s)share.* 'x'"),
        ('model.tt_attn_sublayers={"0": 0}', "expected a list"),
        ('model.sublayer2intermediate_size={"99": 8}', r"sublayers \[99\] do not"),
    ],
)
def test_values_that_no_training_can_have(override, message):
    with pytest.raises(UserError, match=message):
        configuration.overridden(configuration.PretrainingConfig(name="a"), [override])


def test_a_file_without_a_configuration(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("seed = 3")
    with pytest.raises(UserError, match=r"mine\.py: defines no `config = "):
        configuration.load(path)


_QUICK = {"ctrl_uniter_base", "uniter_rnd_v", "bert_cc"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow)
        for name in NAMES
    ],
)
def test_a_published_run_at_toy_size(trained, name):
    lines = tiny_runs.lines(trained(name), "train")
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(math.isfinite(line["loss"]) for line in lines)
    # The first update has learning rate 0; the others change something.
    assert lines[0]["learning_rate"] == 0 and lines[1]["learning_rate"] > 0
    full = configuration.load(name)
    expected = {"mlm"} if full.model.text_only else {"mlm", "regions_0"}
    if full.inputs.vision_only:
        expected = {"regions_0"}
    if full.inputs.objective != 2 and "regions_0" in expected and "mlm" in expected:
        expected |= {"itm"}
    watched = {"kind", "step", "loss", "gradient_norm", "learning_rate"}
    found = set(lines[0]) - watched
    assert {"regions_0" if x.startswith("regions_") else x for x in found} == expected


def test_a_toy_validates(trained):
    lines = tiny_runs.lines(trained("ctrl_uniter_base"), "validation")
    assert lines[-1]["step"] == 3 and math.isfinite(lines[-1]["loss"])


@pytest.mark.slow
def test_an_architecture_is_ablated_by_its_configuration(trained):
    """Words that see no regions; dropout is the same in both."""
    blind, whole = (
        tiny_runs.lines(trained("ctrl_uniter_base", *changes), "train")
        for changes in (["model.tv_attn_sublayers=[]"], [])
    )
    assert all(math.isfinite(line["loss"]) for line in blind)
    assert blind[0]["mlm"] != whole[0]["mlm"]


@pytest.mark.slow
def test_weights_are_unshared_by_the_configuration(trained):
    changes = ("model.single_ln_sublayers=[]", "model.shared_sublayers=[]")
    unshared, shared = (
        sum(np.size(x) for x in tiny_runs.parameters(workdir / "model").values())
        for workdir in (
            trained("ctrl_uniter_base", *changes),
            trained("ctrl_uniter_base"),
        )
    )
    assert unshared > shared


@pytest.mark.slow
def test_bfloat16_on_processors_is_said_to_gain_nothing(trained, capsys):
    rough = tiny_runs.lines(trained("ctrl_uniter_base", "compute=bfloat16"), "train")
    assert "compute=bfloat16: on processors" in capsys.readouterr().out
    exact = tiny_runs.lines(trained("ctrl_uniter_base"), "train")
    for one, other in zip(rough, exact, strict=True):
        assert 0 < abs(one["loss"] - other["loss"]) < 0.01  # measured: 0.0013
