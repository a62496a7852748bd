"""What the restricted unpickler reads, and what it refuses without running it."""

import collections
import os
import pickle

import numpy as np
import pytest

from xabl.data import safe_pickle
from xabl.errors import UserError

RECORD = {
    "img_id": "4718074487",
    "features": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">i4"),
    "flags": np.array([True, False]),
    "height": np.int64(375),
    "text": np.str_("ab"),
    "encoded": b"QUJD",
    "nothing": b"",
    "empty": np.zeros((0, 4), np.float32),
    "nested": [np.arange(2), (1, 2.5, None, True)],
    "ordered": collections.OrderedDict(a=1),
}


def load(data, **options):
    return safe_pickle.load(
        data, source="regions.lmdb, image 7", names=safe_pickle.NUMPY_NAMES, **options
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_what_region_features_are_made_of(protocol):
    loaded = load(pickle.dumps(RECORD, protocol))
    assert loaded.keys() == RECORD.keys()
    for name in RECORD.keys() - {"nested"}:
        np.testing.assert_array_equal(loaded[name], RECORD[name])
        if isinstance(RECORD[name], np.ndarray):
            assert loaded[name].dtype == RECORD[name].dtype
    np.testing.assert_array_equal(loaded["nested"][0], RECORD["nested"][0])
    assert loaded["nested"][1] == RECORD["nested"][1]


def test_reads_arrays_pickled_before_numpy_2():
    data = pickle.dumps(RECORD["features"], 2)
    assert b"numpy._core" in data
    loaded = load(data.replace(b"numpy._core", b"numpy.core"))
    np.testing.assert_array_equal(loaded, RECORD["features"])


class Hostile:
    """Leaves a file behind if it is ever executed."""

    def __init__(self, trace):
        self.command = f"touch {trace}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["alone", "in a record", "in an array"])
def test_refuses_code_by_name_and_does_not_run_it(tmp_path, protocol, where):
    trace = tmp_path / "executed"
    hostile = Hostile(trace)
    value = {
        "alone": hostile,
        "in a record": {"features": hostile},
        "in an array": np.array([hostile], dtype=object),
    }[where]
    with pytest.raises(UserError) as error:
        load(pickle.dumps(value, protocol))
    assert "regions.lmdb, image 7: refused" in str(error.value)
    assert "system" in str(error.value)
    assert "nothing of the file was executed" in str(error.value)
    assert not trace.exists()


def test_unknown_classes_can_become_placeholders(tmp_path):
    trace = tmp_path / "executed"
    # One class is called with arguments, one gets state, one is filled like a list.
    value = [Hostile(trace), collections.Counter("ab"), collections.deque([1])]
    loaded = load(pickle.dumps(value), unknown=safe_pickle.opaque)
    names = [item.pickled_name for item in loaded]
    assert names == [f"{os.name}.system", "collections.Counter", "collections.deque"]
    assert all(isinstance(item, safe_pickle.Opaque) for item in loaded)
    assert not trace.exists()


@pytest.mark.parametrize("length", [0, 1, 40, 100, 200, 300])
def test_names_the_record_that_is_cut(length):
    data = pickle.dumps(RECORD)[:length]
    with pytest.raises(UserError, match="image 7: not a readable pickle.*fetch it"):
        load(data)


def _nested_pairs(count):
    """A tuple of a tuple of ... whose tree doubles at every step, as a key."""
    pairs = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(count))
    return b"\x80\x02)q\x00" + pairs + b"}h%cK\x01s." % count


@pytest.mark.parametrize(
    ("data", "message"),
    [
        # 2^60 bytes announced by the next opcode
        (b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b".", "expected 11529"),
        # the unpickler's table of back references grown to 2^31 entries
        (b"\x80\x02]r\xff\xff\xff\x7f.", "memo index"),
        (b"\x80\x02)" + b"\x85" * 10_000 + b".", "nested deeper"),
        (b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b".", "nested deeper"),
        (_nested_pairs(40), "objects"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02K\x01Q.", "data outside itself"),
        (b"\x80\x020.", "stack underflow"),
        (b"\x80\x02](a.", "unexpected mark"),
        (pickle.dumps(10**400), "an integer of 1329 bits"),
        # attributes given to one of the stand-in functions
        (b"\x80\x02c_codecs\nencode\nN}X\x01\x00\x00\x00aK\x01s\x86b.", "readable"),
    ],
    ids=[
        "length",
        "memo",
        "deep tuples",
        "deep lists",
        "exploding key",
        "extension",
        "reference",
        "underflow",
        "mark",
        "long integer",
        "state",
    ],
)
def test_refuses_hostile_sizes_and_operations(data, message):
    with pytest.raises(UserError, match=message):
        load(data)


def test_refuses_a_list_inside_itself():
    loop = []
    loop.append(loop)
    with pytest.raises(UserError, match="nested deeper"):
        load(pickle.dumps(loop))


def test_refuses_more_bytes_than_allowed():
    with pytest.raises(UserError, match="longer than 100 bytes"):
        load(pickle.dumps(RECORD), max_bytes=100)


def test_refuses_an_array_whose_bytes_do_not_fill_it():
    data = pickle.dumps(np.zeros(4, np.int8), 2)
    wrong = data.replace(b"K\x04\x85", b"K\x05\x85")
    assert wrong != data
    with pytest.raises(UserError, match=r"shape \(5,\).*holds 4 bytes"):
        load(wrong)


def test_reads_one_pickle_after_the_other():
    data = pickle.dumps(1) + pickle.dumps("two") + b"rest"
    options = {"source": "file", "names": {}}
    first, end = safe_pickle.load_next(data, **options)
    second, end = safe_pickle.load_next(data, offset=end, **options)
    assert (first, second, data[end:]) == (1, "two", b"rest")
