"""What files hold, as digests; a file that was not touched is not read again."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from xabl.data.flickr30k_entities import read_image_ids, split_file
from xabl.errors import UserError, naming, reason
from xabl.support.atomic import new_file

_WHOLE = 4 * 2**30  # larger files are sampled
_SHARD = 16 * 2**20  # of a corpus, which may hold a terabyte
_SAMPLES, _SAMPLE = 64, 2**20
# A file that changed this short a time ago may change again within one tick of its
# file system's clock, and nobody would see it.
_SETTLED_SECONDS = 2.0
_LOCKS = {"lock.mdb"}  # LMDB writes there when it is only read


class Contents:
    """Digests of files and folders, remembered by size, time and inode.

    The disk is asked once for each: hundreds of runs are of the same data.
    Of a file larger than 4 GiB, and of the shards of a corpus, 64 samples of 1 MiB
    evenly spread and the size stand for the whole.
    """

    def __init__(self, memory: Path):
        """Takes up what an earlier process remembered in the file `memory`."""
        self._memory = memory
        self._known: dict[str, list[str]] = {}
        try:
            self._known = dict(json.loads(memory.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            pass  # nothing is lost but time
        self._is_new = False
        self._asked: dict[str, str] = {}

    def of(self, path: Path) -> str:
        """Of a file, or of all files in a folder with their names.

        Raises:
            UserError: it is not there or cannot be read.
        """
        return self._of(str(path), path, lambda: _files(path), _WHOLE)

    def of_model(self, directory: Path) -> str:
        """Of a model directory: configuration, parameters and word pieces.

        Where they come from, which it also says, does not matter.
        """

        def files() -> list[Path]:
            return [f for f in _files(directory) if f.name != "report.json"]

        return self._of(f"{directory} model", directory, files, _WHOLE)

    def of_corpus(self, directory: Path, splits: Iterable[str | None]) -> str:
        """Of some splits of a pretraining corpus."""
        folders = [directory / split for split in splits if split]
        name = " ".join([*map(str, folders), "corpus"])

        def files() -> list[Path]:
            return [file for folder in folders for file in _files(folder)]

        return self._of(name, directory, files, _SHARD)

    def of_entities(self, directory: Path, split: str) -> str:
        """Of a split of Flickr30k Entities: its list, captions and boxes."""

        def files() -> list[Path]:
            listed = split_file(directory, split)
            found = [listed]
            for image_id in read_image_ids(listed):
                found.append(directory / "Sentences" / f"{image_id}.txt")
                found.append(directory / "Annotations" / f"{image_id}.xml")
            return found

        return self._of(f"{directory} {split}", directory, files, _WHOLE)

    def save(self) -> None:
        """Writes what is known for the next process, where there is a folder for it."""
        if self._is_new and self._memory.parent.is_dir():
            with new_file(self._memory, overwrite=True) as temporary:
                temporary.write_text(json.dumps(self._known), encoding="utf-8")
            self._is_new = False

    def _of(
        self, name: str, root: Path, list_files: Callable[[], list[Path]], whole: int
    ) -> str:
        if name not in self._asked:
            self._asked[name] = self._looked_at(name, root, list_files, whole)
        return self._asked[name]

    def _looked_at(
        self, name: str, root: Path, list_files: Callable[[], list[Path]], whole: int
    ) -> str:
        try:
            files = list_files()
            stats = [os.stat(file) for file in files]
            looks = hashlib.sha256()
            for file, stat in zip(files, stats, strict=True):
                looks.update(
                    f"{file} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}\n".encode()
                )
            look = looks.hexdigest()
            known = self._known.get(name)
            if known is not None and known[0] == look:
                return known[1]
            digest = hashlib.sha256()
            for file, stat in zip(files, stats, strict=True):
                inner = "" if file == root else str(file.relative_to(root))
                content = _digest(file, stat.st_size, whole)
                digest.update(f"{inner} {stat.st_size} {content}\n".encode())
        except OSError as error:
            raise UserError(_cannot_read(error.filename or root, error)) from error
        if max(stat.st_mtime for stat in stats) < time.time() - _SETTLED_SECONDS:
            self._known[name] = [look, digest.hexdigest()]
            self._is_new = True
        return digest.hexdigest()


def key_of(determines: Mapping[str, Any]) -> str:
    """A short name for what determines a result; equal for equal contents only."""
    text = json.dumps(determines, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(
        file for file in path.rglob("*") if file.is_file() and file.name not in _LOCKS
    )
    if not found:
        what = "is an empty folder" if path.is_dir() else "does not exist"
        raise UserError(f"{path}: {what}")
    return found


def _cannot_read(path: object, error: Exception) -> str:
    return f"{path}: cannot be read ({reason(error)})"


def _digest(path: Path, size: int, whole: int) -> str:
    with naming(path), open(path, "rb") as file:
        if size <= whole:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        for number in range(_SAMPLES):
            file.seek((size - _SAMPLE) * number // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
        return digest.hexdigest()
