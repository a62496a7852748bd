"""Every reader of bytes that come from outside, and files it reads well.

A target writes its input to a file (or takes it as it is) and reads all there is to
read. What it may raise is `UserError`.
"""

import dataclasses
import io
import json
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

from tests.helpers import fake_results, golden_world, tiny_corpus
from tests.helpers.torch_writer import write_torch_file
from xabl.data import safe_pickle, tokenizer_files
from xabl.data.checkpoints.opening import open_checkpoint
from xabl.data.flickr30k_entities import parse_caption, read_boxes, read_image_ids
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
from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS
from xabl.pretraining.configuration import PretrainingConfig, overridden
from xabl.pretraining.corpus.msgpack_lmdb import unpack_record
from xabl.pretraining.corpus.sources import read_captions
from xabl.results import checking, reading
from xabl.studies.study_file import read_study
from xabl.support.files import read_json


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


# ---- Text ----


def _read_caption(folder: Path, content: bytes) -> None:
    for line in content.decode(errors="replace").split("\n"):
        parse_caption(line, "line")


def _files(pattern: str, most: int = 3) -> Callable[[], list[bytes]]:
    paths = sorted(golden_world.ENTITIES.glob(pattern))[:most]
    return lambda: [path.read_bytes() for path in paths]


def _override(folder: Path, content: bytes) -> None:
    text = content.decode(errors="replace")
    overridden(PretrainingConfig(name="fuzz"), [text])


def _config_seeds() -> list[bytes]:
    names = ("bert_base", "ctrl_vl-bert_base", "vilbert_base")
    return [json.dumps(PRESETS[name].to_dict()).encode() for name in names]


def _tokenizer_seeds() -> list[bytes]:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"]
    model = {"type": "WordPiece", "vocab": {p: n for n, p in enumerate(pieces)}}
    content = {"model": model, "normalizer": {"lowercase": True}}
    return [json.dumps(content).encode()]


def _read_tokenizer(path: Path) -> None:
    tokenizer_files.find_tokenizer(path.parent)
    read_vocabulary(path)


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


def _study_seeds() -> list[bytes]:
    """The two kinds of rows. A whole study takes YAML a hundred times as long."""
    folder = Path(reading.__file__).parents[1] / "studies" / "examples"
    grid = [
        line
        for line in (folder / "synthetic_world.yaml").read_text().splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    rows = [
        "data: {entities: e, regions: r.h5, split: val, limit: 3}",
        "ablation: {thresholds: [0.5], directions: [vis4lang], batch_size: 4}",
        "report: {resamples: 100}",
        "retries: 1",
        "models:",
        "  - {label: a, seed: 0, group: g, model: m}",
        "  - {label: b, config: ctrl_uniter_base, checkpoint: c.bin}",
    ]
    return ["\n".join(lines).encode() for lines in (rows, grid)]


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
    "xml": Target(read=_file("1.xml", read_boxes), seeds=_files("Annotations/*.xml")),
    "sentences": Target(read=_read_caption, seeds=_files("Sentences/*.txt")),
    "split": Target(read=_file("val.txt", read_image_ids), seeds=_files("val.txt")),
    "vocabulary": Target(
        read=_file("vocab.txt", read_vocabulary),
        seeds=lambda: [b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n\xc3\xa9\n"],
    ),
    "tokenizer": Target(
        read=_file("t/tokenizer.json", _read_tokenizer), seeds=_tokenizer_seeds
    ),
    "model configuration": Target(
        read=_file("c.json", ModelConfig.from_json), seeds=_config_seeds
    ),
    "override": Target(
        read=_override,
        seeds=lambda: [
            b"optimiser.learning_rate=2e-4",
            b"model.tv_attn_sublayers=[]",
            b'inputs.ablations=[{"modality": "words"}]',
        ],
    ),
    "captions": Target(
        read=_file("c.json", lambda path: read_captions(path, "val")),
        seeds=lambda: [b'{"1": "a dog", "007": ["two", "texts"]}'],
    ),
    "gold labels": Target(
        read=_file("g.json", lambda path: read_json(path, "labels", list)),
        seeds=lambda: [b"[1, null, 1600]"],
    ),
    "study": Target(read=_file("s.yaml", read_study), seeds=_study_seeds, is_slow=True),
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
