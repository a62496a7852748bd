"""Every reader of bytes that come from outside, and files it reads well.

A target writes its input to a file (or takes it as it is) and reads all there is to
read. What it may raise is `UserError`.
"""

import dataclasses
import functools
import io
import pickle
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import lmdb
import msgpack
import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import save

from tests.fuzz import tensor_names, texts
from tests.helpers import fake_results, tiny_corpus
from tests.helpers.torch_writer import write_torch_file
from xabl.ablation.input_files import read_gold_labels
from xabl.analysis.labelmatch.gold_labels import read_nouns
from xabl.data import safe_pickle
from xabl.data.annotated_boxes import read_boxes
from xabl.data.checkpoints.opening import open_checkpoint
from xabl.data.class_names import read_class_names
from xabl.data.flickr30k_entities import read_image_ids
from xabl.data.lmdb_reader import LmdbFile
from xabl.data.regions import (
    hdf5_files,
    import_regions,
    lmdb_files,
    open_regions,
    records,
    tsv_files,
)
from xabl.data.word_pieces import read_vocabulary
from xabl.pretraining.corpus.msgpack_lmdb import unpack_record
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.corpus.sources import read_captions
from xabl.results import checking, reading
from xabl.studies.study_file import read_study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """One reader.

    read: takes a folder to use and the input. seeds: inputs that it reads well.
    is_slow: reads few inputs a second, and gets more time than others.
    """

    read: Callable[[Path, bytes], object]
    seeds: Callable[[], list[bytes]]
    is_slow: bool = False


def _file(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """A reader of files as one of bytes."""

    def with_bytes(folder: Path, content: bytes) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return read(path)

    return with_bytes


def _written(write: Callable[[Path], object], name: str = "file") -> bytes:
    """What a writer writes."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        path = Path(folder) / name
        return (path / "data.mdb" if path.is_dir() else path).read_bytes()


# ---- Regions ----


def _images() -> list:
    sizes = dict(feature_size=8, num_boxes=2)
    return [
        tiny_corpus.image("1", has_cls_prob=False, **sizes),
        tiny_corpus.image("22", has_cls_prob=False, has_attributes=False, **sizes),
    ]


def _all_regions(path: Path) -> None:
    with open_regions(path) as source:
        source.problems  # noqa: B018
        ids = source.image_ids[:20]
        for _ in source.read_many(ids, lambda name, error: None):
            pass


def _region_seeds(write: Callable) -> Callable[[], list[bytes]]:
    return lambda: [
        _written(lambda path: write(path, _images())),
        _written(lambda path: write(path, _images()[:1])),
    ]


def _store_seeds() -> list[bytes]:
    def write(path: Path) -> None:
        tsv_files.write(path.with_name("r.tsv"), _images()[:1])
        with open_regions(path.with_name("r.tsv")) as source:
            import_regions(source, source.image_ids, path)

    return [_written(write)]


def _read_record(folder: Path, content: bytes) -> None:
    record = safe_pickle.load(content, source="value", names=safe_pickle.NUMPY_NAMES)
    if isinstance(record, dict):
        records.regions_of_record(record, "1", "value")


def _record_seeds() -> list[bytes]:
    found = []
    for image in _images():
        for short in (False, True):
            record = records.record_of_regions(image, short_names=short)
            found.append(pickle.dumps(record))
            if not short:  # which leaves it to the arrays how many regions there are
                found.append(pickle.dumps(records.in_base64(record), protocol=2))
    return found


def _read_lmdb(path: Path) -> None:
    with LmdbFile(path) as file:
        for key, _ in file.items():
            file.get(key)


def _lmdb_seeds() -> list[bytes]:
    def write(path: Path) -> None:
        drawn = random.Random(0)
        with lmdb.open(str(path), map_size=2**20, lock=False) as environment:
            for number in range(60):
                with environment.begin(write=True) as transaction:
                    value = drawn.randbytes(drawn.choice([3, 400, 5000]))
                    transaction.put(str(number).encode(), value)

    small = [
        _written(lambda path: lmdb_files.write(path, _images()[:1])),
        _written(lambda path: lmdb_files.write(path, _images(), as_arrays=True)),
    ]
    return [*small, _written(write)]


def _msgpack_seeds() -> list[bytes]:
    def packed(array: np.ndarray) -> dict:
        return {
            b"nd": True,
            b"type": array.dtype.str,
            b"shape": array.shape,
            b"data": array.tobytes(),
        }

    image = _images()[0]
    arrays = [packed(image.features), packed(np.full((2, 1601), 1 / 1601, "<f4"))]
    rest = [packed(image.boxes), 2, 100, "200", b"1", "a dog"]
    classes = [packed(image.objects_id), packed(image.objects_conf)]
    long = [*arrays, *classes, *classes, packed(np.zeros((2, 3), "<f4")), *rest]
    return [msgpack.packb([*arrays, *rest]), msgpack.packb(long)]


# ---- Checkpoints ----


def _read_tensors(path: Path) -> None:
    for tensor in list(open_checkpoint(path).tensors.values())[:50]:
        tensor.read()


def _state() -> dict:
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    return {"bert.a.weight": table, "bert.tied.weight": table, "b": np.ones(2, "f8")}


def _torch_seeds(layout: str) -> Callable[[], list[bytes]]:
    values = (_state(), {"model_state_dict": _state(), "step": 3})
    return lambda: [
        _written(lambda path, value=value: write_torch_file(path, value, layout))
        for value in values
    ]


# ---- Results ----


def _results_folder() -> Path:
    folder = Path(tempfile.mkdtemp()) / "results"
    return fake_results.write_results(
        folder, fake_results.paper_models()[0], num_images=2, phrases_per_image=1
    )


def _results(name: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        results = folder / "results"
        if not results.exists():
            shutil.copytree(_results_folder(), results)
        (results / name).write_bytes(content)
        checking.check(results)
        reading.read(results)

    return read


def _result_seeds(name: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        content = (_results_folder() / name).read_bytes()
        if not name.endswith(".parquet"):
            return [content]
        table = io.BytesIO()
        pq.write_table(pq.read_table(io.BytesIO(content)).slice(0, 3), table)
        return [table.getvalue()]

    return seeds


# ---- Corpora ----


@functools.cache
def _corpus_folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    return tiny_corpus.corpus(folder, 1, feature_size=8).directory / "train"


def _read_metadata(folder: Path, content: bytes) -> None:
    split = folder / "corpus" / "train"
    if not split.exists():
        shutil.copytree(_corpus_folder(), split)
    (split / "metadata.json").write_bytes(content)
    Corpus(split.parent, split.name)


TARGETS = {
    "lmdb file": Target(read=_file("data.mdb", _read_lmdb), seeds=_lmdb_seeds),
    "lmdb regions": Target(
        read=_file("l/data.mdb", _all_regions), seeds=_region_seeds(lmdb_files.write)
    ),
    "lmdb value": Target(read=_read_record, seeds=_record_seeds),
    "tsv": Target(
        read=_file("r.tsv", _all_regions), seeds=_region_seeds(tsv_files.write)
    ),
    "hdf5": Target(
        read=_file("r.h5", _all_regions),
        seeds=_region_seeds(hdf5_files.write),
        is_slow=True,
    ),
    "region store": Target(
        read=_file("s.h5", _all_regions), seeds=_store_seeds, is_slow=True
    ),
    "msgpack": Target(
        read=lambda folder, content: unpack_record(content, "entry"),
        seeds=_msgpack_seeds,
    ),
    "torch zip": Target(read=_file("m.bin", _read_tensors), seeds=_torch_seeds("zip")),
    "torch legacy": Target(
        read=_file("m.pth", _read_tensors), seeds=_torch_seeds("sequence")
    ),
    "safetensors": Target(
        read=_file("m.safetensors", _read_tensors), seeds=lambda: [save(_state())]
    ),
    "checkpoint index": Target(
        read=_file("m.index.json", _read_tensors),
        seeds=lambda: [b'{"weight_map": {"bert.a.weight": "m-1.bin"}}'],
    ),
    "tensor names": Target(
        read=tensor_names.read, seeds=tensor_names.seeds, is_slow=True
    ),
    "xml": Target(
        read=_file("image.xml", read_boxes), seeds=texts.files("Annotations/*.xml")
    ),
    "sentences": Target(read=texts.read_caption, seeds=texts.files("Sentences/*.txt")),
    "split": Target(
        read=_file("val.txt", read_image_ids), seeds=texts.files("val.txt")
    ),
    "vocabulary": Target(
        read=_file("vocab.txt", read_vocabulary),
        seeds=lambda: [b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n\xc3\xa9\n"],
    ),
    "tokenizer": Target(
        read=_file("t/tokenizer.json", texts.read_tokenizer),
        seeds=texts.tokenizer_seeds,
    ),
    "model configuration": Target(
        read=_file("c.json", texts.read_config), seeds=texts.config_seeds
    ),
    "override": Target(read=texts.override, seeds=texts.override_seeds),
    "class names": Target(
        read=_file("c.txt", read_class_names),
        seeds=lambda: [b"__background__\nyolk\ngoggles,glasses\n"],
    ),
    "captions": Target(
        read=_file("c.json", lambda path: read_captions(path, "val")),
        seeds=lambda: [b'{"1": "a dog", "007": ["two", "texts"]}'],
    ),
    "gold labels": Target(
        read=_file("g.json", read_gold_labels), seeds=lambda: [b"[1, null, 1600]"]
    ),
    "nouns": Target(
        read=_file("n.json", read_nouns), seeds=lambda: [b'[["a", "dog"], []]']
    ),
    "foils": Target(read=_file("f.json", texts.foil_pairs), seeds=texts.foil_seeds),
    "study": Target(
        read=_file("s.yaml", read_study), seeds=texts.study_seeds, is_slow=True
    ),
    "corpus": Target(
        read=_read_metadata,
        seeds=lambda: [(_corpus_folder() / "metadata.json").read_bytes()],
        is_slow=True,
    ),
    "manifest": Target(
        read=_results("manifest.json"),
        seeds=_result_seeds("manifest.json"),
        is_slow=True,
    ),
    "scores": Target(
        read=_results("scores.parquet"),
        seeds=_result_seeds("scores.parquet"),
        is_slow=True,
    ),
    "examples": Target(
        read=_results("examples.parquet"),
        seeds=_result_seeds("examples.parquet"),
        is_slow=True,
    ),
}
