"""Where the model of a run comes from: it is there, converted, or trained."""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet

from xabl.data.tokenizer_files import TOKENIZER_FILES
from xabl.errors import UserError, naming, reason
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.presets import load_config
from xabl.pretraining.configuration import PretrainingConfig, to_json
from xabl.pretraining.corpus.reader import CAPTIONS_FILE
from xabl.pretraining.launch import only_run
from xabl.pretraining.train import METHOD, pretrain
from xabl.pretraining.workdir import FREE_FIELDS
from xabl.studies.contents import Contents, key_of
from xabl.studies.jobs import OnProgress
from xabl.studies.worker import Stopped
from xabl.support import lease
from xabl.support.files import read_bytes

_SECONDS_BETWEEN_LOOKS = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Existing:
    """A model directory."""

    directory: Path
    is_training = False

    def config(self) -> ModelConfig:
        return model_directory.load_config(self.directory)

    def determines(self, contents: Contents) -> dict[str, Any]:
        return {"model": contents.of_model(self.directory)}

    def todo(self) -> str:
        return ""

    def prepared(self, on_progress: OnProgress) -> Path:
        return self.directory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A published file; `output` is the model directory it is converted to.

    configuration: a preset or a file; None: the checkpoint is recognised.
    """

    file: Path
    configuration: str | None
    vocabulary: Path | None
    output: Path
    key: str = ""
    is_training = False

    def config(self) -> ModelConfig:
        if self.configuration is None:
            return _recognised(self.file)
        return load_config(self.configuration)

    def determines(self, contents: Contents) -> dict[str, Any]:
        beside = [self.file.with_name(name) for name in TOKENIZER_FILES]
        if self.file.suffix == ".json":  # an index of parts: x.safetensors.index.json
            part = Path(self.file.name.removesuffix(".index.json")).suffix
            beside += sorted(self.file.parent.glob(f"*{part}"))
        return {
            "method": _conversion().METHOD,
            "checkpoint": contents.of(self.file),
            "beside": {p.name: contents.of(p) for p in beside if p.is_file()},
            "config": self.config().to_dict(),
            "vocabulary": self.vocabulary and contents.of(self.vocabulary),
        }

    def todo(self) -> str:
        return "" if self._is_converted else "convert, "

    def prepared(self, on_progress: OnProgress) -> Path:
        """Converts, unless this very file has been."""
        if not self._is_converted:
            lease.check()
            self._key_file.unlink(missing_ok=True)
            summary = _conversion().convert_file(
                self.file,
                self.output,
                config=self.configuration,
                vocabulary=self.vocabulary,
                overwrite=True,
            )
            self._key_file.write_text(self.key, encoding="utf-8")
            print(summary)
        return self.output

    @property
    def _is_converted(self) -> bool:
        return self.output.exists() and _text(self._key_file) == self.key

    @property
    def _key_file(self) -> Path:
        return _key_file(self.output)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """A pretraining in `workdir`; a file beside it has the key of what it is.

    start: what determines the training whose model this one starts from.
    """

    configuration: PretrainingConfig
    workdir: Path
    start: Mapping[str, Any] | None = None
    key: str = ""
    is_training = True

    def config(self) -> ModelConfig:
        return self.configuration.model

    def determines(self, contents: Contents) -> dict[str, Any]:
        """Files by what they hold, not by where they are."""
        config = self.configuration
        fields = {k: v for k, v in to_json(config).items() if k not in FREE_FIELDS}
        initial = dict(fields["initial"])
        initial["bert"] = initial["bert"] and contents.of_model(Path(initial["bert"]))
        if self.start is not None:
            initial["model"] = dict(self.start)
        elif initial["model"]:
            initial["model"] = contents.of_model(Path(initial["model"]))
        splits = [config.train_split, config.valid_split]
        return {
            **fields,
            "method": METHOD,
            "initial": initial,
            "corpus": contents.of_corpus(Path(config.corpus), splits),
            "vocabulary": contents.of(Path(config.vocabulary)),
        }

    def todo(self) -> str:
        is_this = _text(_key_file(self.workdir)) == self.key
        if is_this and (self.workdir / "model").exists():
            return ""
        try:
            updates = f"{self.num_updates():,} updates"
        except UserError:
            updates = f"{self.configuration.epochs} epochs"
        return f"train {updates}, "

    def num_updates(self) -> int:
        """Of the whole training.

        Raises:
            UserError: the corpus is not there.
        """
        config = self.configuration
        if config.steps:
            return config.steps
        captions = Path(config.corpus) / config.train_split / CAPTIONS_FILE
        try:
            with naming(captions):
                count = pyarrow.parquet.read_metadata(captions).num_rows
        except (OSError, pyarrow.ArrowException) as error:
            raise UserError(f"{captions}: cannot be read ({reason(error)})") from error
        return config.epochs * (count // config.batch_size)

    def prepared(self, on_progress: OnProgress) -> Path:
        """Trains, or goes on with it.

        Raises:
            Stopped: asked to by SIGTERM; the training's state is saved.
        """
        with only_run(self.workdir, lease.UNTIL_FREE):
            self._claim()
            with _reported(self.workdir, self.num_updates(), on_progress):
                # `_claim` has compared what the files hold.
                if not pretrain(self.configuration, self.workdir, may_move=True):
                    raise Stopped
        return self.workdir / "model"

    def _claim(self) -> None:
        """Puts the training of another configuration aside; days may be in it."""
        there = _text(_key_file(self.workdir))
        if self.workdir.exists() and there != self.key:
            aside = self.workdir.with_name(f"{self.workdir.name}.{there or 'before'}")
            if aside.exists():
                raise UserError(
                    f"{self.workdir} holds another training, and so does {aside}; "
                    "move or delete one of them"
                )
            self.workdir.rename(aside)
            print(f"{self.workdir} held another training, now {aside}")
        self.workdir.parent.mkdir(parents=True, exist_ok=True)
        _key_file(self.workdir).write_text(self.key, encoding="utf-8")


def _conversion() -> ModuleType:
    """Another package, which few studies need."""
    from checkpoints_conversion import conversion

    return conversion


@functools.cache
def _recognised(file: Path) -> ModelConfig:
    conversion = _conversion()
    return conversion.recognised(conversion.open_checkpoint(file)).config


def _key_file(folder: Path) -> Path:
    """Beside a folder, the key of what was made there."""
    return folder.with_name(f"{folder.name}.key")


def _text(path: Path) -> str | None:
    """Of a file that may not be there.

    Raises:
        UserError: its disk fails: a training would be put aside as another's.
    """
    try:
        return read_bytes(path).decode(errors="replace")
    except OSError:
        return None


Source = Existing | Checkpoint | Training


def with_key(source: Source, determines: Mapping[str, Any]) -> Source:
    """The source, knowing what determines it."""
    if isinstance(source, Existing):
        return source
    return dataclasses.replace(source, key=key_of(determines))


def updates_made(workdir: Path) -> int:
    """Counted in what a training writes, whichever process made them."""
    try:
        return (workdir / "metrics.jsonl").read_bytes().count(b'"kind": "train"')
    except OSError:
        return 0


@contextlib.contextmanager
def _reported(workdir: Path, total: int, on_progress: OnProgress) -> Iterator[None]:
    """Tells how far the training is until the block ends."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            on_progress(min(updates_made(workdir), total), total, "updates")

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
