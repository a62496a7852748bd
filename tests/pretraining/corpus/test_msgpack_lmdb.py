"""Conceptual Captions as an LMDB of msgpack lists; a damaged entry is named."""

import dataclasses

import lmdb
import msgpack
import numpy as np
import pytest

from tests.helpers import tiny_corpus
from tests.helpers.corpora import assert_holds, build, images, one_caption
from xabl.errors import UserError
from xabl.pretraining.corpus import msgpack_lmdb


def packed(array):
    """As msgpack_numpy lays an array out."""
    return {
        b"nd": True,
        b"type": array.dtype.str,
        b"kind": b"",
        b"shape": array.shape,
        b"data": array.tobytes(),
    }


def msgpack_record(regions, caption, fields=msgpack_lmdb.FIELDS):
    attrs = np.zeros((regions.num_boxes, 401), np.float32)
    attrs[np.arange(regions.num_boxes), regions.attrs_id + 1] = regions.attrs_conf
    values = {
        "num_boxes": regions.num_boxes,
        "img_h": str(regions.img_h),  # both are met
        "img_w": regions.img_w,
        "image_id": regions.image_id.encode(),
        "caption": caption,
        "attrs": attrs,
    }
    values |= {
        name: getattr(regions, name)
        for name in ("features", "cls_prob", "boxes", "objects_id", "objects_conf")
    }
    values |= {"attrs_id": regions.attrs_id, "attrs_conf": regions.attrs_conf}
    return msgpack.packb(
        [
            packed(values[name])
            if isinstance(values[name], np.ndarray)
            else values[name]
            for name in fields
        ]
    )


def write_msgpack(folder, records, as_file=False):
    path = folder / ("regions.lmdb" if as_file else "regions")
    with lmdb.open(str(path), subdir=not as_file, map_size=2**26) as environment:
        with environment.begin(write=True) as transaction:
            keys = [f"{number:08}".encode() for number in range(len(records))]
            for key, record in zip(keys, records, strict=True):
                transaction.put(key, record)
            transaction.put(b"__keys__", msgpack.packb(keys))
    return path


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize("fields", [msgpack_lmdb.FIELDS, msgpack_lmdb.SHORT_FIELDS])
def test_msgpack_lmdb(tmp_path, fields, as_file):
    records = [
        msgpack_record(regions, tiny_corpus.captions(regions.image_id)[0], fields)
        for regions in images()
    ]
    source = write_msgpack(tmp_path, records, as_file)
    before = sorted(tmp_path.rglob("*"))
    corpus, _ = build(tmp_path, source, None)
    assert_holds(corpus, images(), one_caption())
    assert corpus.has_attributes == (fields is msgpack_lmdb.FIELDS)
    written = [path for path in tmp_path.rglob("*") if path not in before]
    assert all(path.is_relative_to(tmp_path / "corpus") for path in written)


class Malice:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda record: record[:-30], "not a msgpack record"),
        (
            lambda record: msgpack.packb([1, 2, 3]),
            "3 fields; expected a list of 13 or 8",
        ),
        (lambda record: msgpack.packb({"a": 1}), "no list"),
        (lambda record: b"\x91" * 2000 + b"\x00", "not a msgpack record"),
        (lambda record: msgpack.packb([[0] * 2000] * 8), "not a msgpack record"),
        (
            lambda record: msgpack.packb([msgpack.ExtType(5, b"x")] * 8),
            "msgpack record",
        ),
        (lambda record: record.replace(b"<f4", b"<i8", 1), "features: not an array"),
    ],
)
def test_bad_msgpack_entries(tmp_path, spoil, message):
    records = [msgpack_record(regions, "a dog") for regions in images()]
    records[2] = spoil(records[2])
    source = write_msgpack(tmp_path, records)
    with pytest.raises(UserError, match=f"entry 00000002: .*{message}"):
        build(tmp_path, source, None)
    corpus, report = build(tmp_path, source, None, skip_bad_rows=True)
    assert corpus.num_images == 4 and "entry 00000002" in report


def test_msgpack_executes_nothing(tmp_path):
    """msgpack_numpy would unpickle an array of objects."""
    import pickle

    target = tmp_path / "executed"
    malicious = {
        b"nd": True,
        b"type": "|O",
        b"kind": b"O",
        b"shape": [1],
        b"data": pickle.dumps(Malice(target)),
    }
    record = msgpack.packb([malicious] * 8)
    with pytest.raises(UserError, match="array of .*, not of numbers; refused"):
        build(tmp_path, write_msgpack(tmp_path, [record]), None)
    assert not target.exists()


def test_missing_msgpack_images_are_named(tmp_path):
    records = [msgpack_record(regions, "a dog") for regions in images()]
    source = write_msgpack(tmp_path, records)
    (tmp_path / "ids.txt").write_text("1\n55\n")
    with pytest.raises(UserError, match="has no image 55"):
        build(tmp_path, source, None, image_ids=tmp_path / "ids.txt")
    (tmp_path / "ids.txt").write_text("1\n3\n")
    corpus, _ = build(tmp_path, source, None, image_ids=tmp_path / "ids.txt")
    assert [corpus.image(record).image_id for record in range(2)] == ["1", "3"]


def test_a_cut_msgpack_lmdb_is_named(tmp_path):
    records = [msgpack_record(regions, "a dog") for regions in images()]
    data = write_msgpack(tmp_path, records) / "data.mdb"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(UserError, match="data.mdb is cut"):
        build(tmp_path, data.parent, None)


def test_boxes_in_another_form_are_refused_together(tmp_path):
    """As x, y, width, height most of these are possible as they are."""
    first = next(iter(images()))
    boxes = np.float32([[20, 10, 100, 90]] * 5 + [[100, 50, 40, 30]])
    records = [
        msgpack_record(
            dataclasses.replace(
                first, image_id=str(n), boxes=np.tile(box, (first.num_boxes, 1))
            ),
            "a dog",
        )
        for n, box in enumerate(boxes)
    ]
    source = write_msgpack(tmp_path, records)
    bad, found = (
        [],
        msgpack_lmdb.read_msgpack_lmdb(source, None, lambda name, _: bad.append(name)),
    )
    with pytest.raises(UserError, match="in 1 of 6 .* as x1, y1, width, height all"):
        list(found)
    assert bad == ["00000005"]
