"""Reading PyTorch files: against the real writer, and against damage and malice."""

import os
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from tests.helpers.torch_writer import (
    LAYOUTS,
    Call,
    Global,
    StorageReference,
    write_torch_file,
)
from xabl.data.checkpoints.torch_files import open_torch_file
from xabl.errors import UserError

FILES = Path(__file__).parents[1] / "data" / "torch"  # written by torch 2.13.0

NUMBERS = np.arange(24, dtype=np.float32).reshape(4, 6)
EXPECTED = {
    "plain": np.float32([[0, 0.25], [0.5, 0.75], [1, 1.25]]),
    "same": np.float32([[0, 0.25], [0.5, 0.75], [1, 1.25]]),
    "transposed": NUMBERS.T,
    "window": NUMBERS[1:3, 2:5],
    "half": np.float16([1.5, -2]),
    "bfloat16": np.array([1.5, -3.25], ml_dtypes.bfloat16),
    "double": np.float64([1 / 3]),
    "long": np.int64([[1, -2]]),
    "scalar": np.float32(7),
    "empty": np.zeros((0, 3), np.float32),
    "parameter": np.ones(2, np.float32),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["state_dict", "checkpoint"])
def test_reads_what_torch_wrote(name, layout):
    file = open_torch_file(FILES / f"{name}.{layout}.bin")
    assert list(file.tensors) == list(EXPECTED)
    for key, expected in EXPECTED.items():
        tensor = file.tensors[key]
        assert tensor.shape == expected.shape
        assert tensor.dtype == expected.dtype
        np.testing.assert_array_equal(tensor.read(), expected)
    same = file.tensors["plain"].identity == file.tensors["same"].identity
    assert same and file.tensors["plain"].identity != file.tensors["window"].identity


@pytest.mark.parametrize("layout", LAYOUTS)
def test_takes_the_weights_alone_out_of_a_training_checkpoint(layout):
    file = open_torch_file(FILES / f"checkpoint.{layout}.bin")
    assert "model_state_dict" in file.layout
    assert file.skipped.keys() == {
        "optimizer_state_dict",
        "global_step",
        "tb_logger",
        "score",
        "pickled __main__.TrainingLogger",
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_test_writer_and_reader_agree(tmp_path, layout):
    shared = np.arange(6, dtype=np.float32).reshape(2, 3)
    state = {"a": shared, "b": shared, "c": np.ones(2, ml_dtypes.bfloat16)}
    file = open_torch_file(write_torch_file(tmp_path / "x.bin", state, layout))
    for name, expected in state.items():
        np.testing.assert_array_equal(file.tensors[name].read(), expected)
    assert file.tensors["a"].identity == file.tensors["b"].identity


STATE = {
    "w": np.arange(60, dtype=np.float32).reshape(6, 10),
    "b": np.ones(3, np.float32),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_a_file_that_is_cut_anywhere(tmp_path, layout):
    content = write_torch_file(tmp_path / "whole.bin", STATE, layout).read_bytes()
    path = tmp_path / "cut.bin"
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.bin: .*fetch it again"):
            open_torch_file(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404 Not Found</html>", b"\x93NUMPY\x01\x00", b"\x80\x02K\x01."],
    ids=["empty", "web page", "numpy", "another pickle"],
)
def test_names_a_file_of_another_kind(tmp_path, content):
    path = tmp_path / "pytorch_model_9.bin"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"pytorch_model_9\.bin: not a PyTorch file"):
        open_torch_file(path)


def test_names_a_zip_of_another_kind(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", "x")
    with pytest.raises(UserError, match="not one written by torch.save"):
        open_torch_file(path)


def test_notices_a_flipped_bit(tmp_path):
    content = bytearray(write_torch_file(tmp_path / "x.bin", STATE, "zip").read_bytes())
    at = content.index(STATE["w"].tobytes())
    content[at] ^= 1
    (tmp_path / "x.bin").write_bytes(content)
    file = open_torch_file(tmp_path / "x.bin")
    with pytest.raises(UserError, match=r"x\.bin: Bad CRC-32 .*fetch it again"):
        file.tensors["w"].read()


class Hostile:
    """Leaves a file behind if it is ever executed."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "place",
    [
        lambda hostile: hostile,
        lambda hostile: {**STATE, "evil": hostile},
        lambda hostile: {**STATE, "evil": {"deep": [hostile]}},
        lambda hostile: {"model_state_dict": {**STATE, "evil": hostile}},
    ],
    ids=["alone", "among tensors", "deep", "in model_state_dict"],
)
def test_refuses_code_by_name_and_does_not_run_it(tmp_path, layout, place):
    trace = tmp_path / "executed"
    path = write_torch_file(tmp_path / "evil.bin", place(Hostile(trace)), layout)
    with pytest.raises(UserError) as error:
        open_torch_file(path)
    message = str(error.value)
    assert str(path) in message and f"{os.name}.system" in message
    assert "refused" in message and "executed" in message
    assert not trace.exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_does_not_run_code_beside_the_weights(tmp_path, layout):
    trace = tmp_path / "executed"
    checkpoint = {"model_state_dict": STATE, "tb_logger": Hostile(trace)}
    path = write_torch_file(tmp_path / "pytorch_ckpt_latest.tar", checkpoint, layout)
    file = open_torch_file(path)
    np.testing.assert_array_equal(file.tensors["w"].read(), STATE["w"])
    assert f"pickled {os.name}.system" in file.skipped
    assert not trace.exists()


def _tensor(*, numel=4, offset=0, shape=(4,), strides=(1,), hooks=()):
    """A tensor as `torch.save` describes it, here with numbers that may be wrong."""
    return Call(
        Global("torch._utils", "_rebuild_tensor_v2"),
        _reference(numel),
        offset,
        shape,
        strides,
        False,
        hooks,
    )


def _reference(numel):
    kind = Global("torch", "FloatStorage")
    return StorageReference(("storage", kind, "0", "cpu", numel))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (_tensor(offset=1), "reaches outside its storage"),
        (_tensor(shape=(2, 2), strides=(4, 1)), "reaches outside its storage"),
        (_tensor(shape=(10**6, 10**6), strides=(0, 0)), "reaches outside"),
        (_tensor(shape=(-1,)), "impossible shape"),
        (_tensor(offset=-1), "impossible shape"),
        (_tensor(strides=(-1,)), "impossible shape"),
        (_tensor(shape=(4, 1)), "impossible shape"),
        (_tensor(hooks=(1,)), "hooks"),
        (_tensor(numel=-4), "not understood"),
        (_tensor(numel=2**40, shape=(2**40,)), "storage"),
        (3.5, "'x' is a float"),
    ],
)
def test_refuses_tensors_that_cannot_be(tmp_path, layout, entry, message):
    path = write_torch_file(tmp_path / "x.bin", {"x": entry}, layout)
    with pytest.raises(UserError, match=message):
        open_torch_file(path)


def test_refuses_a_compressed_member(tmp_path):
    plain = write_torch_file(tmp_path / "plain.bin", STATE, "zip")
    path = tmp_path / "bomb.bin"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="compressed or encrypted"):
        open_torch_file(path)


def test_refuses_a_program(tmp_path):
    path = write_torch_file(tmp_path / "script.pt", STATE, "zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"\x80\x02).")
    with pytest.raises(UserError, match="TorchScript program"):
        open_torch_file(path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_refuses_an_object_that_is_no_state_dict(tmp_path, layout):
    path = write_torch_file(tmp_path / "x.bin", [1, 2], layout)
    with pytest.raises(UserError, match="holds list, not a state dict"):
        open_torch_file(path)
