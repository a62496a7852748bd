"""A model on disk: the directory that commands write and read.

config.json   the configuration, in the reference's format
params/       the parameters (Orbax)
report.json   where they come from, and the sizes and digests of the files
vocab.txt     the word pieces, if they were given; config.json says whether captions are
              lower-cased first
"""

import gc
import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from xabl.data.regions.description import RegionDescription
from xabl.data.word_pieces import read_vocabulary
from xabl.errors import UserError, naming, reason
from xabl.models.config import ModelConfig
from xabl.models.model import parameter_shapes
from xabl.support import checksums
from xabl.support.atomic import check_place, check_room, new_directory
from xabl.support.devices import local_devices
from xabl.support.files import from_json, read_bytes

_CONFIG, _PARAMS, _REPORT, _VOCABULARY = (
    "config.json",
    "params",
    "report.json",
    "vocab.txt",
)

# In the report: sizes and digests of files, those that are edited apart.
_PARAM_FILES, _OTHER_FILES = "parameter_files", "other_files"
REGIONS = "regions"  # in the report: `RegionDescription` of the training's regions
_BYTES_UNDER_WAY = 2**27


def save(
    directory: Path | str,
    config: ModelConfig,
    params: Mapping[str, Any],
    *,
    vocabulary: Path | str | None = None,
    report: Mapping[str, Any],
    overwrite: bool = False,
) -> None:
    """Writes a model directory, all or nothing.

    Args:
        params: the model's parameter tree; arrays of numpy or jax.
        vocabulary: vocab.txt or tokenizer.json with the word pieces, to be kept.
        report: what is to be known about the parameters' origin (JSON).

    Raises:
        UserError: the directory exists (and `overwrite` is not set, or it is no model
            directory), cannot be written, or `params` or `vocabulary` are not those
            of `config`.
    """
    directory = Path(directory).absolute()
    check_output(directory, overwrite=overwrite)
    _check_shapes(directory, config, params)
    if vocabulary is not None:
        check_vocabulary(vocabulary, config)
    with new_directory(directory, overwrite=True, holds=_PARAMS) as folder:
        _write_json(folder / _CONFIG, config.to_dict())
        _save_params(folder / _PARAMS, directory, dict(params))
        if vocabulary is not None:
            _keep_vocabulary(Path(vocabulary), folder / _VOCABULARY)
        files = {
            _PARAM_FILES: checksums.listed(folder / _PARAMS),
            _OTHER_FILES: checksums.listed(folder, lambda path: path.parent == folder),
        }
        _write_json(folder / _REPORT, {**report, **files})


def check_output(directory: Path | str, *, overwrite: bool) -> None:
    """Refuses, before any work is done, an output that `save` would refuse.

    Raises:
        UserError: the directory exists and may not be replaced.
    """
    directory = Path(directory)
    check_place(directory)
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    # A checkpoint's own folder has a configuration, too.
    if not ((directory / _CONFIG).exists() and (directory / _PARAMS).exists()):
        raise UserError(
            f"{directory}: exists and is not a model directory, so it is never "
            "replaced; choose another output"
        )
    if not overwrite:
        raise UserError(
            f"{directory}: already holds a model; give --overwrite to replace it, or "
            "another output"
        )


def load_config(directory: Path | str) -> ModelConfig:
    """The configuration alone; quick.

    Raises:
        UserError: not a model directory.
    """
    directory = Path(directory)
    if not (directory / _CONFIG).is_file():
        what = "is not a model directory" if directory.exists() else "does not exist"
        raise UserError(
            f"{directory}: {what}; a model directory is what "
            "xabl convert and xabl pretrain write"
        )
    fields = _read_json(directory / _CONFIG)
    if {"model_type", "architectures"} & fields.keys():
        raise UserError(
            f"{directory}: a checkpoint of transformers, not a model directory; make "
            f"one of it with: xabl convert {shlex.quote(str(directory))} "
            "--output=DIRECTORY"
        )
    return ModelConfig.from_dict(fields, source=str(directory / _CONFIG))


def load_report(directory: Path | str) -> dict[str, Any]:
    """What is known about the origin of the parameters.

    Raises:
        UserError: the report is missing or damaged.
    """
    return _read_json(Path(directory) / _REPORT)


def trained_regions(directory: Path | str) -> RegionDescription | None:
    """The regions that the model was trained with; None where that is not known.

    Pretraining keeps their description; a converted checkpoint cannot tell.

    Raises:
        UserError: the report is missing or damaged.
    """
    described = load_report(directory).get(REGIONS)
    source = str(Path(directory) / _REPORT)
    return described and RegionDescription.from_json(described, source)


def load(
    directory: Path | str, sharding: jax.sharding.Sharding | None = None
) -> tuple[ModelConfig, dict[str, Any]]:
    """The configuration and the parameters, restored straight onto the devices.

    Args:
        sharding: of every parameter; absent, all on the first device.

    Raises:
        UserError: not a model directory, an incomplete one, or parameters that are
            not those of its configuration.
    """
    directory = Path(directory).absolute()
    config = load_config(directory)
    _check_files(directory)
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(local_devices()[0])
    try:
        with naming(directory / _PARAMS):
            stored = ocp.metadata(directory / _PARAMS).metadata
        if stored is None:
            raise ValueError("their description is damaged")
        _check_shapes(directory, config, stored)
        wanted = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                leaf.shape, leaf.dtype, sharding=sharding
            ),
            parameter_shapes(config),
        )
        with naming(directory / _PARAMS), _alone(_sparing(wanted)):
            params = ocp.load(directory / _PARAMS, wanted)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{directory}: the parameters cannot be read ({str(error)[:300]}); the "
            "directory is damaged: copy or convert it again"
        ) from error
    # Orbax leaves a copy of the largest parameter in a cycle of references.
    gc.collect()
    return config, params


def vocabulary_path(directory: Path | str) -> Path | None:
    """The word pieces kept with the model, if it was given any."""
    path = Path(directory) / _VOCABULARY
    return path if path.is_file() else None


def vocabulary_of(
    directory: Path | str | None, config: ModelConfig, given: Path | str | None = None
) -> Path:
    """The word pieces to score a model with: those given, else those kept with it.

    Args:
        directory: None: the model is not on disk, and they are given.

    Raises:
        UserError: there are none; or as `check_vocabulary`.
    """
    vocabulary = given or (directory and vocabulary_path(directory))
    if vocabulary is None:
        raise UserError(
            f"{directory}: no vocabulary was kept with this model; give the vocab.txt "
            "of its word pieces with --vocab"
        )
    try:
        check_vocabulary(vocabulary, config)
    except UserError as error:
        if given is not None:
            raise
        raise UserError(
            f"{error}; or, without a new conversion, give another with --vocab"
        ) from error
    return Path(vocabulary)


def check_vocabulary(vocabulary: Path | str, config: ModelConfig) -> None:
    """Compares a vocabulary file with the model it is meant for.

    Raises:
        UserError: no sound vocabulary, of another size than the model's, or with
            capitals that captions in lower case never have.
    """
    pieces = read_vocabulary(Path(vocabulary))
    if len(pieces) != config.vocab_size:
        raise UserError(
            f"{vocabulary}: has {len(pieces)} word pieces (lines), the model "
            f"{config.name!r} has {config.vocab_size}; give the vocab.txt the model "
            "was trained with"
        )
    if config.do_lower_case and _has_capitals(pieces):
        raise UserError(
            f"{vocabulary}: has pieces with capitals, but the model {config.name!r} "
            'reads captions in lower case; if it is a cased one, set "do_lower_case": '
            "false in its config.json"
        )


def is_cased(vocabulary: Path | str) -> bool:
    """Whether a vocabulary has pieces with capitals.

    Raises:
        UserError: it cannot be read.
    """
    return _has_capitals(read_vocabulary(Path(vocabulary)))


def _has_capitals(pieces: Iterable[str]) -> bool:
    # Outside of tokens such as [CLS]; the uncased English and multilingual vocabularies
    # have none.
    return any(re.search("[A-Z]", piece) for piece in pieces if piece[:1] != "[")


def _keep_vocabulary(vocabulary: Path, kept: Path) -> None:
    kept.write_text("\n".join(read_vocabulary(vocabulary)) + "\n", encoding="utf-8")


def _check_shapes(directory: Path, config: ModelConfig, found: Any) -> None:
    """Raises a UserError that lists every parameter not as the model has it."""

    def by_path(tree: Any) -> dict[str, tuple[int, ...]]:
        return {
            "/".join(str(key.key) for key in path): tuple(leaf.shape)
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }

    shapes, found = by_path(parameter_shapes(config)), by_path(found)
    problems = [f"missing {path}" for path in shapes.keys() - found.keys()]
    problems += [f"unexpected {path}" for path in found.keys() - shapes.keys()]
    problems += [
        f"{path} has shape {found[path]}, expected {shapes[path]}"
        for path in shapes.keys() & found.keys()
        if found[path] != shapes[path]
    ]
    if problems:
        raise UserError(
            f"{directory}: the parameters are not those of its configuration "
            f"{config.name!r}:\n  " + "\n  ".join(sorted(problems))
        )


def _check_files(directory: Path) -> None:
    """Orbax reads an absent chunk as zeros, and any bits as parameters.

    A configuration or vocabulary may have been edited on purpose: that is said only.
    """
    report = load_report(directory)
    expected = report.get(_PARAM_FILES)
    if not isinstance(expected, dict):
        raise UserError(
            f"{directory / _REPORT}: does not list the parameter files; the directory "
            "is damaged: copy or convert it again"
        )
    problem = checksums.problem(directory / _PARAMS, expected)
    if problem:
        raise UserError(
            f"{directory}: damaged, or incomplete as after an interrupted copy "
            f"({problem}); copy or convert it again"
        )
    edited = checksums.problem(directory, report.get(_OTHER_FILES, {}))
    if edited:
        print(
            f"{directory}: {edited}; if you did not edit it, copy or convert the model "
            "again",
            file=sys.stderr,
        )


def _save_params(path: Path, directory: Path, params: dict[str, Any]) -> None:
    """Writes them to `path`; `directory` is what messages name."""
    # Asked before: Orbax tells of a full disk in hundreds of lines.
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    check_room(directory, needed)
    try:
        with _sparing(params):
            ocp.save(path, params)
    except (ValueError, RuntimeError) as error:  # its way to say so
        raise UserError(
            f"{directory} cannot be written ({str(error)[:300]}); choose another "
            "output or make room"
        ) from error


def _alone(context: ocp.Context) -> ocp.Context:
    """Has this process read for itself: none waits for one that found a problem."""
    context.multiprocessing.primary_host = jax.process_index()
    context.multiprocessing.active_processes = {jax.process_index()}
    return context


def _sparing(params: Any) -> ocp.Context:
    """Saves and loads with little memory beside the parameters; the defaults double it.

    Saving blocks, so nothing can change the arrays meanwhile and no copies are
    needed; float32 weights compress by a few percent only.

    Args:
        params: what is saved or loaded, or its shapes.
    """
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params)]
    context = ocp.Context()
    context.memory.deepcopy_host_arrays = False
    # Less than the largest array would be refused.
    context.memory.write_concurrent_bytes = max(_BYTES_UNDER_WAY, *sizes)
    context.memory.read_concurrent_bytes = max(_BYTES_UNDER_WAY, *sizes)
    context.array.saving.use_compression = False
    return context


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = from_json(read_bytes(path).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({reason(error)}); the model directory is "
            "incomplete: copy or convert it again"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object; convert the model again")
    return content
