"""Holds the tensors of a file against the parameters of a model, by name and shape."""

import os
import re
from collections import Counter
from collections.abc import Mapping

from checkpoints_conversion.source_names import SourceNames, canonical_name
from xabl.data.checkpoints.tensors import Tensor, TensorFile
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.reference_names import ReferenceTensor, reference_names

_SHOWN_PROBLEMS = 18  # with the first line and the last, twenty lines
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_MOST_LAYERS = 48  # that are looked for

Sources = dict[str, list[str]]  # names in the file, by reference name


def matched(
    file: TensorFile, config: ModelConfig, kind: SourceNames
) -> tuple[Sources, dict[str, str], list[str]]:
    """(names in the file by reference name, ignored with reasons, problems)."""
    sources, ignored, problems = _assign(file, config, kind)
    expected = reference_names(config)
    problems += _missing(sources, expected, file, kind)
    problems += _misshaped(sources, file.tensors, expected)
    return sources, ignored, problems


def misfits(file: TensorFile, config: ModelConfig, kind: SourceNames) -> list[str]:
    """What keeps the file from being this model's, by names, shapes and types alone.

    Each is "extra", "missing", "shape" or "type", a colon and the tensor; nothing is
    read of what the tensors hold.
    """
    return matched(file, config, kind)[2]


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


def _missing(
    sources: Sources,
    expected: Mapping[str, ReferenceTensor],
    file: TensorFile,
    kind: SourceNames,
) -> list[str]:
    """Absent tensors.

    A shared tensor's copies must be there if any copies are, so that a file that lost
    some is noticed; files written again may have left out all, safetensors any.
    """
    problems = []
    aliases = [alias for row in expected.values() for alias in row.aliases]
    copied = {_copy_of(alias) for alias in aliases if alias in sources}
    required = kind.aliases_required and not file.layout.startswith("safetensors")
    for path, reference in expected.items():
        names = (reference.name, *reference.aliases)
        absent = [name for name in names if name not in sources]
        if len(absent) < len(names):
            absent = [name for name in absent if required and _copy_of(name) in copied]
        problems += [f"missing: {name} ({path})" for name in absent]
    return problems


def _copy_of(alias: str) -> str:
    """Which copies are written together: of the word embeddings, of sublayers."""
    return alias.split(".")[0]


def sources_of(reference: ReferenceTensor, sources: Sources) -> list[str]:
    """Names in the file that hold one parameter, the proper name's first."""
    names = (reference.name, *reference.aliases)
    return [source for name in names for source in sources.get(name, ())]


def _misshaped(
    sources: Sources,
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, ReferenceTensor],
) -> list[str]:
    problems = []
    for reference in expected.values():
        shape = reference.shape[::-1] if reference.transpose else reference.shape
        for name in sources_of(reference, sources):
            tensor = tensors[name]
            if tensor.shape != shape:
                problems.append(
                    f"shape: {name} is {tensor.shape}, the model has {shape}"
                )
            # Asked of numpy by name, since it does not know bfloat16's kind.
            if "float" not in tensor.dtype.name:
                problems.append(f"type: {name} is {tensor.dtype}, expected floats")
    return problems


def not_this_model(
    file: TensorFile,
    config: ModelConfig,
    kind: SourceNames,
    problems: list[str],
    hint: str = "",
) -> UserError:
    """One line that says what to do, then as much of the problems as can be read.

    Args:
        problems: as `misfits` gives them.
        hint: what the file is instead, when that is known.
    """
    problems = sorted(problems)
    kinds = Counter(problem.split(":")[0] for problem in problems)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    shown = [_in_its_names(each, file, kind) for each in problems[:_SHOWN_PROBLEMS]]
    if hidden := len(problems) - len(shown):
        shown.append(f"... and {hidden} more")
    return UserError(
        f"{file.path}: not the weights of {config.name!r} "
        f"({hint or 'is it the right configuration?'}): {counts}\n  "
        + "\n  ".join(shown)
    )


def _in_its_names(problem: str, file: TensorFile, kind: SourceNames) -> str:
    """A tensor that is missing, as the file would call it; the others are as they are.

    The name is made from those of tensors that are there: of the same module, or of a
    layer of another number. Without any the reference's name stays.
    """
    if not problem.startswith("missing: "):
        return problem
    missing = problem.split()[1]
    module, _, leaf = missing.rpartition(".")
    found = []
    for name in file.tensors:
        target = kind.reference_name(canonical_name(name))
        if target is None:
            continue
        if target.rpartition(".")[0] == module:
            found.append(f"{name.rpartition('.')[0]}.{leaf}")
        elif _NUMBER.sub("", target) == _NUMBER.sub("", missing):
            found += [
                f"{name[: at.start()]}{number}{name[at.end() :]}"
                for at in _NUMBER.finditer(name)
                for number in range(_MOST_LAYERS)
            ]
    fitting = [
        name for name in found if kind.reference_name(canonical_name(name)) == missing
    ]
    if not fitting:
        return problem

    def likeness(name: str) -> int:
        """How much of it stands at the beginning of some name."""
        return max(len(os.path.commonprefix([name, other])) for other in file.tensors)

    return problem.replace(missing, max(fitting, key=likeness), 1)
