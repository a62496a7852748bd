"""From state dicts to parameters: every golden model, every variant, every mistake."""

import hashlib
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from checkpoints_conversion import conversion, source_names
from tests.helpers.golden import FORWARD_CASES, forward_case
from tests.helpers.torch_writer import LAYOUTS, write_torch_file
from xabl.errors import UserError
from xabl.models.reference_names import reference_names


def convert(path, config, kind="volta"):
    names = source_names.KINDS[kind](config)
    return conversion.convert(conversion.open_checkpoint(path), config, names)


def flat(params):
    """Parameters by their path."""
    leaves = {}
    for name, value in params.items():
        if isinstance(value, dict):
            below = flat(value).items()
            leaves |= {f"{name}/{path}": leaf for path, leaf in below}
        else:
            leaves[name] = value
    return leaves


def assert_holds(converted, config, state_dict):
    """Every parameter is the state dict's tensor, kernels transposed."""
    params = flat(converted.params)
    names = reference_names(config)
    assert params.keys() == names.keys()
    for path, reference in names.items():
        tensor = state_dict[reference.name]
        np.testing.assert_array_equal(
            params[path], tensor.T if path.endswith("kernel") else tensor
        )
        assert params[path].dtype == np.float32
        assert params[path].flags.c_contiguous


@pytest.mark.parametrize("name", FORWARD_CASES)
def test_reference_names_are_those_of_the_published_checkpoints(name):
    case = forward_case(name)
    names = reference_names(case.config).values()
    shapes = {
        reference.name: reference.shape[::-1]
        if reference.transpose
        else reference.shape
        for reference in names
    }
    assert shapes == case.shapes
    aliases = {
        alias: reference.name for reference in names for alias in reference.aliases
    }
    assert aliases == case.aliases


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FORWARD_CASES)
def test_every_model_from_both_layouts(tmp_path, name, layout):
    case = forward_case(name)
    path = write_torch_file(tmp_path / "model.bin", case.state_dict(), layout)
    converted = convert(path, case.config)
    assert_holds(converted, case.config, case.state_dict())
    assert converted.report["tensors"] == {
        "in_file": len(case.shapes) + len(case.aliases),
        "used": len(case.shapes),
        "merged": len(case.aliases),
        "ignored": 0,
    }
    assert converted.report["merged"] == case.aliases
    sizes = sum(int(np.prod(shape)) for shape in case.shapes.values())
    assert converted.report["parameters"] == sizes


@pytest.fixture(scope="module")
def uniter():
    return forward_case("ctrl_uniter_base")


def write(tmp_path, state):
    return write_torch_file(tmp_path / "pytorch_model_9.bin", state, "sequence")


def test_takes_names_prefixed_by_data_parallel(tmp_path, uniter):
    state = {f"module.{name}": value for name, value in uniter.state_dict().items()}
    converted = convert(write(tmp_path, state), uniter.config)
    assert_holds(converted, uniter.config, uniter.state_dict())


def test_takes_weights_out_of_a_training_checkpoint(tmp_path, uniter):
    state = {"model_state_dict": uniter.state_dict(), "global_step": 7, "score": 0.5}
    converted = convert(write(tmp_path, state), uniter.config)
    assert_holds(converted, uniter.config, uniter.state_dict())
    assert converted.report["beside_the_weights"].keys() == {"global_step", "score"}


def test_merges_the_second_name_of_the_token_types(tmp_path, uniter):
    state = uniter.state_dict()
    proper = "bert.embeddings.token_type_embeddings.weight"
    second = "bert.embeddings.image_token_type_embeddings.weight"
    state[second] = state[proper].copy()
    converted = convert(write(tmp_path, state), uniter.config)
    assert converted.report["merged"][second] == proper
    state[second] += 1
    with pytest.raises(UserError, match=f"unequal: {proper} and {second}"):
        convert(write(tmp_path, state), uniter.config)


def test_ignores_the_question_answering_head_with_a_reason(tmp_path):
    case = forward_case("lxmert")
    state = case.state_dict()
    head = "cls.qaPredictions.logit_fc.0.weight"
    state[head] = np.ones((4, 4), np.float32)
    report = convert(write(tmp_path, state), case.config).report
    assert report["ignored"].keys() == {head}
    assert "question answering" in report["ignored"][head]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_become_float32(tmp_path, uniter, dtype):
    state = {name: value.astype(dtype) for name, value in uniter.state_dict().items()}
    converted = convert(write(tmp_path, state), uniter.config)
    expected = {name: value.astype(np.float32) for name, value in state.items()}
    assert_holds(converted, uniter.config, expected)
    assert converted.report["types"] == {np.dtype(dtype).name: len(state)}


def test_report_identifies_the_source(tmp_path, uniter):
    path = write(tmp_path, uniter.state_dict())
    report = convert(path, uniter.config).report
    assert report["source"] == {
        "file": "pytorch_model_9.bin",
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "layout": "sequence of pickles",
    }
    assert json.loads(json.dumps(report)) == report
    text = conversion.summary(report)
    assert report["source"]["sha256"] in text and "332,166 parameters" in text


def test_lists_every_problem_at_once(tmp_path, uniter):
    state = uniter.state_dict()
    del state["cls.predictions.bias"]
    del state["bert.encoder.layer.4.attention_self.v_query.weight"]
    state["cls.extra.weight"] = np.ones(2, np.float32)
    state["head.weight"] = np.ones(2, np.float32)
    state["bert.t_pooler.dense.bias"] = np.ones(3, np.float32)
    pooler = uniter.shapes["bert.v_pooler.dense.bias"]
    state["bert.v_pooler.dense.bias"] = np.ones(pooler, np.int64)
    with pytest.raises(UserError) as error:
        convert(write(tmp_path, state), uniter.config)
    message = str(error.value)
    assert "pytorch_model_9.bin" in message and "configuration" in message
    assert "2 extra, 2 missing, 1 shape, 1 type" in message
    for line in (
        "missing: cls.predictions.bias (mlm_head/bias)",
        "missing: bert.encoder.layer.4.attention_self.v_query.weight",
        "extra: cls.extra.weight",
        "extra: head.weight",
        "shape: bert.t_pooler.dense.bias is (3,), the model has",
        "type: bert.v_pooler.dense.bias is int64, expected floats",
    ):
        assert f"\n  {line}" in message


def test_names_every_pair_of_shared_tensors_that_differ(tmp_path, uniter):
    state = uniter.state_dict()
    differing = [
        (
            "bert.encoder.layer.2.attention_self.query.weight",
            "bert.encoder.layer.2.attention_self.v_query.weight",
        ),
        (
            "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.weight",
        ),
    ]
    for _, copy in differing:
        state[copy] = state[copy].copy()
        state[copy].flat[-1] += 1e-6
    with pytest.raises(UserError, match="2 unequal") as error:
        convert(write(tmp_path, state), uniter.config)
    for names in differing:
        assert all(name in str(error.value) for name in names)


def test_names_a_tensor_with_nan(tmp_path, uniter):
    state = uniter.state_dict()
    state["bert.t_pooler.dense.bias"][0] = np.nan
    with pytest.raises(UserError, match="not finite: bert.t_pooler.dense.bias"):
        convert(write(tmp_path, state), uniter.config)


def test_the_wrong_configuration_is_an_error(tmp_path, uniter):
    path = write(tmp_path, uniter.state_dict())
    with pytest.raises(UserError, match="is it the right configuration"):
        convert(path, forward_case("ctrl_visualbert_base").config)


def test_safetensors_without_copies_of_shared_tensors(tmp_path, uniter):
    path = tmp_path / "model.safetensors"
    state = uniter.state_dict()
    save_file({name: state[name] for name in uniter.shapes}, path)
    assert_holds(convert(path, uniter.config), uniter.config, state)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"not a readable \.safetensors file"):
        convert(path, uniter.config)


def test_a_file_that_is_not_there():
    with pytest.raises(UserError, match=r"nowhere\.bin: no such file"):
        conversion.open_checkpoint("nowhere.bin")
