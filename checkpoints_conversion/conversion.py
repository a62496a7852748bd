"""From the tensors of a file to the parameters of a model: everything, or an error."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints_conversion.source_names import KINDS, SourceNames, canonical_name
from xabl.data.checkpoints.safetensors_files import open_safetensors
from xabl.data.checkpoints.tensors import Tensor, TensorFile
from xabl.data.checkpoints.torch_files import open_torch_file
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.presets import load_config
from xabl.models.reference_names import ReferenceTensor, reference_names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Converted:
    """Parameters of a model, float32, and the report on where they come from."""

    params: dict[str, Any]
    report: dict[str, Any]


def convert_file(
    checkpoint: Path | str,
    output: Path | str,
    *,
    kind: str,
    config: str,
    vocabulary: Path | str | None = None,
    overwrite: bool = False,
) -> str:
    """Writes the model directory of a published file and gives a summary of it.

    Args:
        kind: one of `KINDS`.
        config: a preset's name, or a JSON file.
        vocabulary: vocab.txt, to be kept with the model.

    Raises:
        UserError: as `open_checkpoint` and `convert`; the vocabulary or the output
            does not fit.
    """
    model_config = load_config(config)
    model_directory.check_output(output, overwrite=overwrite)
    if vocabulary is not None:
        model_directory.check_vocabulary(vocabulary, model_config)
    converted = convert(
        open_checkpoint(checkpoint), model_config, KINDS[kind](model_config)
    )
    model_directory.save(
        output,
        model_config,
        converted.params,
        vocabulary=vocabulary,
        report=converted.report,
        overwrite=overwrite,
    )
    return summary(converted.report)


def open_checkpoint(path: Path | str) -> TensorFile:
    """The weights of a .bin, .pth, .tar or .safetensors file.

    Raises:
        UserError: unreadable, cut, holding code, or not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the checkpoint that was published")
    if path.suffix == ".safetensors":
        return open_safetensors(path)
    return open_torch_file(path)


def convert(file: TensorFile, config: ModelConfig, kind: SourceNames) -> Converted:
    """Fills every parameter of the model from the file, and uses all the file holds.

    Raises:
        UserError: listing together every tensor that is missing, unknown, misshaped
            or of a wrong type, and every shared tensor whose copies differ.
    """
    sources, ignored, problems = _assign(file, config, kind)
    expected = reference_names(config)
    problems += _missing(sources, expected, required=_all_required(file, kind))
    problems += _misfits(sources, file.tensors, expected)
    if problems:
        raise _not_this_model(file, config, problems)
    params: dict[str, Any] = {}
    merged: dict[str, str] = {}
    for path, reference in expected.items():
        first, *others = _sources_of(reference, sources)
        value = file.tensors[first].read()
        for other in others:
            merged[other] = first
            if not _equal(file.tensors[first], file.tensors[other], value):
                problems.append(
                    f"unequal: {first} and {other} are one tensor in this model"
                )
        if not np.isfinite(value.astype(np.float32)).all():
            problems.append(f"not finite: {first} holds NaN or infinity")
        _put(params, path, _ours(value, reference))
    if problems:
        raise _not_this_model(file, config, problems)
    used = [name for names in sources.values() for name in names]
    report = {
        "kind": kind.kind,
        "source": {
            "file": file.path.name,
            "bytes": file.path.stat().st_size,
            "sha256": _sha256(file.path),
            "layout": file.layout,
        },
        "configuration": config.name,
        "tensors": {
            "in_file": len(file.tensors),
            "used": len(used) - len(merged),
            "merged": len(merged),
            "ignored": len(ignored),
        },
        "parameters": sum(int(np.prod(names.shape)) for names in expected.values()),
        "types": _count(str(file.tensors[name].dtype) for name in used),
        "ignored": ignored,
        "merged": merged,
        "beside_the_weights": file.skipped,
        "notes": list(kind.notes),
    }
    return Converted(params=params, report=report)


Sources = dict[str, list[str]]  # names in the file, by reference name


def _assign(
    file: TensorFile, config: ModelConfig, kind: SourceNames
) -> tuple[Sources, dict[str, str], list[str]]:
    """Sorts the names in the file: (used, ignored with reasons, problems)."""
    known = {
        name
        for reference in reference_names(config).values()
        for name in (reference.name, *reference.aliases)
    }
    sources: Sources = {}
    ignored: dict[str, str] = {}
    problems = []
    for name in file.tensors:
        canonical = canonical_name(name)
        reason = kind.reason_to_ignore(canonical)
        target = kind.reference_name(canonical)
        if reason is not None:
            ignored[name] = reason
        elif target in known:
            sources.setdefault(target, []).append(name)
        elif target is None or target == canonical:
            problems.append(f"extra: {name} is no part of the model")
        else:
            problems.append(f"extra: {name} (as {target}) is no part of the model")
    return sources, ignored, problems


def _all_required(file: TensorFile, kind: SourceNames) -> bool:
    # safetensors files leave out the copies of shared tensors.
    return kind.aliases_required and file.layout != "safetensors"


def _missing(
    sources: Sources, expected: Mapping[str, ReferenceTensor], *, required: bool
) -> list[str]:
    problems = []
    for path, reference in expected.items():
        names = (reference.name, *reference.aliases)
        absent = [name for name in names if name not in sources]
        if len(absent) == len(names) or (absent and required):
            problems += [f"missing: {name} ({path})" for name in absent]
    return problems


def _sources_of(reference: ReferenceTensor, sources: Sources) -> list[str]:
    """Names in the file that hold one parameter, the proper name's first."""
    names = (reference.name, *reference.aliases)
    return [source for name in names for source in sources.get(name, ())]


def _misfits(
    sources: Sources,
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, ReferenceTensor],
) -> list[str]:
    problems = []
    for reference in expected.values():
        shape = reference.shape[::-1] if reference.transpose else reference.shape
        for name in _sources_of(reference, sources):
            tensor = tensors[name]
            if tensor.shape != shape:
                problems.append(
                    f"shape: {name} is {tensor.shape}, the model has {shape}"
                )
            # Asked of numpy by name, since it does not know bfloat16's kind.
            if "float" not in tensor.dtype.name:
                problems.append(f"type: {name} is {tensor.dtype}, expected floats")
    return problems


def _not_this_model(
    file: TensorFile, config: ModelConfig, problems: list[str]
) -> UserError:
    problems = sorted(problems)
    kinds = _count(problem.split(":")[0] for problem in problems)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return UserError(
        f"{file.path}: not the weights of {config.name!r} (is it the right "
        f"configuration?): {counts}\n  " + "\n  ".join(problems)
    )


def _equal(first: Tensor, other: Tensor, value: np.ndarray) -> bool:
    if first.identity is not None and first.identity == other.identity:
        return True
    return np.array_equal(value, other.read())


def _ours(value: np.ndarray, reference: ReferenceTensor) -> np.ndarray:
    """A copy in our layout: contiguous float32, dense kernels [in, out]."""
    if reference.transpose:
        value = value.T
    return np.array(value, dtype=np.float32, order="C")


def _put(params: dict[str, Any], path: str, value: np.ndarray) -> None:
    *modules, leaf = path.split("/")
    for module in modules:
        params = params.setdefault(module, {})
    params[leaf] = value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _count(names: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def summary(report: Mapping[str, Any]) -> str:
    """The report in a few lines."""
    tensors, source = report["tensors"], report["source"]
    lines = [
        f"{source['file']}: {report['kind']}, {source['layout']}, "
        f"sha256 {source['sha256']}",
        f"{report['parameters']:,} parameters of {report['configuration']} from "
        f"{tensors['used']} tensors; copies of shared tensors merged: "
        f"{tensors['merged']}; ignored: {tensors['ignored']}",
    ]
    reasons = _count(report["ignored"].values())
    lines += [f"ignored {count}: {reason}" for reason, count in reasons.items()]
    lines += [f"note: {note}" for note in report["notes"]]
    return "\n".join(lines)
