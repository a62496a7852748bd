"""Reads files of every kind from a disk that fails, and prints what is said of each.

    python -m tests.helpers.unreadable [--places=2]

faults.c, loaded before all libraries, lets reads fail, whatever library makes them: of
one file after the other, from a place in it to its end, as often as asked. A line of
JSON is printed for each: the kind of file, its name, the place, whether a read of it
failed, whether it was mapped into memory, and what the reader said ("" where nothing).
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.helpers.binaries import ROOT
from tests.helpers.faults import library


def regions(form: str) -> Callable[[Path], Callable]:
    def prepare(folder: Path) -> Callable:
        from tests.helpers import tiny_corpus
        from xabl.data.regions import (
            hdf5_files,
            import_regions,
            lmdb_files,
            open_regions,
            tsv_files,
        )

        path, images = folder / form, [tiny_corpus.image(n) for n in ("1", "2")]
        if form == "store":
            tsv_files.write(folder.with_suffix(".tsv"), images)
            with open_regions(folder.with_suffix(".tsv")) as source:
                import_regions(source, source.image_ids, path)
        else:
            {"tsv": tsv_files, "lmdb": lmdb_files, "hdf5": hdf5_files}[form].write(
                path, images
            )

        def read() -> None:
            with open_regions(path) as source:
                source.read_all(source.image_ids, on_error=lambda name, error: None)

        return read

    return prepare


def checkpoint(layout: str) -> Callable[[Path], Callable]:
    def prepare(folder: Path) -> Callable:
        from tests.fuzz.targets import TARGETS, _read_tensors

        TARGETS[layout].read(folder, TARGETS[layout].seeds()[0])
        return lambda: _read_tensors(next(folder.iterdir()))

    return prepare


def model(folder: Path) -> Callable:
    from tests.helpers import ablation, ablation_binaries
    from xabl.models import model_directory

    config = ablation.shallow("bert")
    ablation_binaries.save(folder / "m", config, ablation.ruled_params(config))
    return lambda: model_directory.load(folder / "m")


def results(folder: Path) -> Callable:
    from tests.helpers import fake_results
    from xabl.results import format, reading

    models = fake_results.paper_models()
    fake_results.write_results(folder / "r", models[0], num_images=2)

    def read() -> None:
        reading.read(folder / "r")
        reading.read_file(folder / "r", format.EXAMPLES)

    return read


def corpus(folder: Path) -> Callable:
    from tests.helpers import tiny_corpus
    from xabl.pretraining.corpus.reader import Corpus

    tiny_corpus.corpus(folder, 2)
    return lambda: Corpus(folder / "corpus", "train").image(0)


def captions(folder: Path) -> Callable:
    """With bad images left out: one whose disk fails is none of them."""
    from tests.helpers.golden_world import ENTITIES
    from xabl.data.flickr30k_entities import read_image_ids, read_split

    image_id = read_image_ids(ENTITIES / "val.txt")[0]
    (folder / "val.txt").write_text(image_id)
    for name in (f"Sentences/{image_id}.txt", f"Annotations/{image_id}.xml"):
        (folder / name).parent.mkdir()
        (folder / name).write_bytes((ENTITIES / name).read_bytes())
    return lambda: read_split(folder, "val", lambda name, error: None)


def training(folder: Path) -> Callable:
    import jax.numpy as jnp

    from xabl.pretraining.checkpoints import Checkpoints
    from xabl.pretraining.reports import _keep_lines_until

    with Checkpoints(folder / "c", keep_last=2) as checkpoints:
        checkpoints.save(1, {"step": jnp.array(1)}, {"examples": 1})
    (folder / "metrics.jsonl").write_text('{"step": 1}\n')

    def read() -> None:
        _keep_lines_until(folder / "metrics.jsonl", 1)
        with Checkpoints(folder / "c", keep_last=2):
            pass

    return read


def study(folder: Path) -> Callable:
    """Its own files; those that it names are looked at for their digests."""
    from xabl.studies import record, sources
    from xabl.studies.contents import Contents

    (folder / "manifest.json").write_text('{"identity": {"study_key": "k"}}')
    (folder / "m.key").write_text("k")
    (folder / "runs.json").write_text("[]")
    (folder / "regions.tsv").write_text("1\t2\t3")

    def read() -> None:
        record.key_in(folder / "manifest.json")
        record.read_record(folder)
        sources._text(folder / "m.key")
        Contents(folder / "none.json").of(folder / "regions.tsv")

    return read


KINDS = {
    **{form: regions(form) for form in ("tsv", "lmdb", "hdf5", "store")},
    **{name: checkpoint(name) for name in ("torch zip", "torch legacy", "safetensors")},
    "model": model,
    "results": results,
    "corpus": corpus,
    "captions": captions,
    "training": training,
    "study": study,
}


def attempts(places: int) -> None:
    """Prints a line for each kind, file and place."""
    from xabl.errors import UserError

    shim = ctypes.CDLL(os.environ["FAULT_LIBRARY"])
    shim.fault_reading.argtypes = ctypes.c_char_p, ctypes.c_long
    top = Path(tempfile.mkdtemp(dir=os.environ["FAULT_ROOT"]))
    for kind, prepare in KINDS.items():
        folder = top / kind.replace(" ", "-")
        folder.mkdir()
        read = prepare(folder)
        read()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            size = path.stat().st_size
            for number in range(places if size else 0):
                at = number * max(size - 5, 0) // max(places - 1, 1)
                shim.fault_reading(str(path).encode(), at)
                said = ""
                try:
                    read()
                except UserError as error:
                    said = str(error)
                except Exception as error:
                    said = f"BUG {error!r}"
                failed, mapped = shim.fault_struck(), shim.fault_mapped()
                shim.fault_reading(b"", 0)
                print(json.dumps([kind, str(path), at, failed, mapped, said]))


def said(places: int, folder: Path) -> list[list]:
    """What `attempts` prints in a process that has the library."""
    environment = os.environ | {
        "LD_PRELOAD": str(library(folder)),
        "FAULT_LIBRARY": str(folder / "faults.so"),
        "FAULT_ROOT": str(folder),
        "JAX_PLATFORMS": "cpu",
    }
    program = [sys.executable, "-m", "tests.helpers.unreadable", "--run"]
    done = subprocess.run(
        [*program, f"--places={places}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=2)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        attempts(given.places)
        return
    with tempfile.TemporaryDirectory() as folder:
        for line in said(given.places, Path(folder)):
            print(json.dumps(line))


if __name__ == "__main__":
    main()
