"""From the tensors of a file to the parameters of a model: everything, or an error."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints_conversion.matching import (
    Sources,
    matched,
    misfits,
    not_this_model,
    sources_of,
)
from checkpoints_conversion.recognition import (
    Recognised,
    recognise,
    recognise_kind,
    settings_beside,
)
from checkpoints_conversion.source_names import SourceNames
from xabl.data.checkpoints.opening import open_checkpoint
from xabl.data.checkpoints.tensors import Tensor, TensorFile
from xabl.data.tokenizer_files import find_tokenizer
from xabl.errors import UserError, naming
from xabl.kinds import Kind, kind_if_readable
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.model import nest
from xabl.models.presets import load_config
from xabl.models.reference_names import ReferenceTensor, reference_names

# Of conversion. Who changes what parameters come out of a file counts on, and a study
# converts again.
METHOD = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Converted:
    """Parameters of a model, float32, and the report on where they come from."""

    params: dict[str, Any]
    report: dict[str, Any]


def convert_file(
    checkpoint: Path | str,
    output: Path | str,
    *,
    config: str | None = None,
    vocabulary: Path | str | None = None,
    overwrite: bool = False,
) -> str:
    """Writes the model directory of a published checkpoint; returns a summary.

    Args:
        checkpoint: a file in any layout, the index of several, or a folder.
        config: a preset's name or a JSON file; absent, the checkpoint is recognised.
        vocabulary: vocab.txt or tokenizer.json, to be kept with the model; absent, the
            one beside the checkpoint.

    Raises:
        UserError: as `open_checkpoint`, `recognise`, `convert` and
            `model_directory.save`; the vocabulary is not this model's.
    """
    kind = kind_if_readable(Path(checkpoint))
    if kind not in (None, Kind.CHECKPOINT):
        cure = "it needs no conversion: give it as --model"
        raise UserError(
            f"{checkpoint}: {kind} already; {cure}"
            if kind is Kind.MODEL
            else f"{checkpoint}: {kind}, not {Kind.CHECKPOINT}"
        )
    model_directory.check_output(output, overwrite=overwrite)
    file = open_checkpoint(checkpoint)
    found, vocabulary = with_vocabulary(file, recognised(file, config), vocabulary)
    converted = convert(file, found.config, found.names)
    report = converted.report | {
        "what": found.what,
        "assumed": list(found.assumed),
        "vocabulary": None if vocabulary is None else Path(vocabulary).name,
        "captions": captions(found.config, vocabulary),
    }
    model_directory.save(
        output,
        found.config,
        converted.params,
        vocabulary=vocabulary,
        report=report,
        overwrite=overwrite,
    )
    return summary(report)


def recognised(file: TensorFile, config: str | None = None) -> Recognised:
    """Says which model's weights a file holds, with what lies beside it.

    Args:
        config: a preset's name or a JSON file; absent, the checkpoint is recognised.

    Raises:
        UserError: as `recognise`; the file is not of `config`.
    """
    settings = settings_beside(file.path)
    if config is None:
        return recognise(file, settings)
    given = Recognised(
        kind=recognise_kind(file, settings),
        config=load_config(config),
        what="as --config says",
    )
    if problems := misfits(file, given.config, given.names):
        try:
            found = recognise(file, settings)
        except UserError:
            raise not_this_model(file, given.config, given.names, problems) from None
        hint = f"this fits {found.config.name}: "
        hint += f"--config={found.config.name}" if found.is_preset else "no --config"
        raise not_this_model(file, given.config, given.names, problems, hint)
    return given


def with_vocabulary(
    file: TensorFile, found: Recognised, vocabulary: Path | str | None = None
) -> tuple[Recognised, Path | str | None]:
    """The model as its captions are prepared, and the vocabulary to keep with it.

    Args:
        vocabulary: absent, the one beside the file.

    Raises:
        UserError: as `find_tokenizer` and `model_directory.check_vocabulary`.
    """
    tokenizer = find_tokenizer(file.path.parent)
    vocabulary = vocabulary or tokenizer.vocabulary
    config, assumed = found.config, found.assumed
    lower_case = tokenizer.lower_case
    if lower_case is None:
        lower_case = config.do_lower_case
        if lower_case and vocabulary and model_directory.is_cased(vocabulary):
            lower_case = False
            assumed += ("captions keep their capitals, since the vocabulary has some",)
    if lower_case and not config.do_lower_case:
        raise UserError(
            f"model {config.name!r} reads captions with their capitals, but the "
            "tokenizer beside the checkpoint lower-cases them; correct the one that is "
            "wrong (do_lower_case)"
        )
    if config.do_lower_case and not lower_case:
        config = dataclasses.replace(
            config, do_lower_case=False, name=f"{config.name}-cased"
        )
    if vocabulary is None:
        assumed += ("no vocabulary is beside it: scoring will need --vocab",)
    else:
        model_directory.check_vocabulary(vocabulary, config)
    return dataclasses.replace(found, config=config, assumed=assumed), vocabulary


def captions(config: ModelConfig, vocabulary: Path | str | None) -> str:
    """How captions are read, in words."""
    kept = "no vocabulary"
    if vocabulary is not None:
        kept = f"{Path(vocabulary).name}, {config.vocab_size:,} word pieces"
    case = "lower-cased" if config.do_lower_case else "with their capitals"
    return f"{kept}; captions are read {case}"


def tensor_counts(
    file: TensorFile, config: ModelConfig, sources: Sources, ignored: Mapping[str, str]
) -> dict[str, int]:
    """What becomes of the tensors of a file that fits a model."""
    rows = reference_names(config).values()
    read = [len(sources_of(row, sources)) for row in rows]
    return {
        "in_file": len(file.tensors),
        "used": len(read),
        "merged": sum(read) - len(read),
        "ignored": len(ignored),
    }


def convert(file: TensorFile, config: ModelConfig, kind: SourceNames) -> Converted:
    """Fills every parameter of the model from the file, and uses all the file holds.

    Raises:
        UserError: listing together every tensor that is missing, unknown, misshaped
            or of a wrong type, and every shared tensor whose copies differ.
    """
    sources, ignored, problems = matched(file, config, kind)
    if problems:
        raise not_this_model(file, config, kind, problems)
    expected = reference_names(config)
    params: dict[str, np.ndarray] = {}
    merged: dict[str, str] = {}
    for path, reference in expected.items():
        first, *others = sources_of(reference, sources)
        value = file.tensors[first].read()
        for other in others:
            merged[other] = first
            if not _equal(file.tensors[first], file.tensors[other], value):
                problems.append(
                    f"unequal: {first} and {other} are one tensor in this model"
                )
        if not np.isfinite(value.astype(np.float32)).all():
            problems.append(f"not finite: {first} holds NaN or infinity")
        params[path] = _ours(value, reference, kind)
    if problems:
        raise not_this_model(file, config, kind, problems)
    used = [name for names in sources.values() for name in names]
    report = {
        "kind": kind.kind,
        "source": {
            "file": file.path.name,
            "bytes": sum(path.stat().st_size for path in file.parts or (file.path,)),
            "sha256": _sha256(file.parts or (file.path,)),
            "layout": file.layout,
        },
        "configuration": config.name,
        "tensors": tensor_counts(file, config, sources, ignored),
        "parameters": parameter_count(config),
        "types": Counter(str(file.tensors[name].dtype) for name in used),
        "ignored": ignored,
        "merged": merged,
        "beside_the_weights": file.skipped,
        "notes": list(kind.notes),
    }
    return Converted(params=nest(params), report=report)


def parameter_count(config: ModelConfig) -> int:
    """Numbers that a model's parameters are, each shared tensor counted once."""
    rows = reference_names(config).values()
    return sum(int(np.prod(row.shape)) for row in rows)


def _equal(first: Tensor, other: Tensor, value: np.ndarray) -> bool:
    if first.identity is not None and first.identity == other.identity:
        return True
    return np.array_equal(value, other.read())


def _ours(
    value: np.ndarray, reference: ReferenceTensor, kind: SourceNames
) -> np.ndarray:
    """A copy in our layout: contiguous float32, dense kernels [in, out]."""
    if kind.matching_last and reference.name.startswith("cls.bi_seq_relationship."):
        value = value[::-1]
    if reference.transpose:
        value = value.T
    return np.array(value, dtype=np.float32, order="C")


def _sha256(paths: Iterable[Path]) -> str:
    """Of the files' content, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with naming(path), path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def counts_in_words(tensors: Mapping[str, int]) -> str:
    """What `tensor_counts` gives."""
    return (
        f"{tensors['used']} tensors; copies of shared tensors merged: "
        f"{tensors['merged']}; ignored: {tensors['ignored']}"
    )


def summary(report: Mapping[str, Any]) -> str:
    """The report in a few lines."""
    source = report["source"]
    lines = [
        f"{source['file']}: {report['kind']}, {source['layout']}, "
        f"sha256 {source['sha256']}",
        *([f"what it is: {report['what']}"] if "what" in report else []),
        f"{report['parameters']:,} parameters of {report['configuration']} from "
        f"{counts_in_words(report['tensors'])}",
    ]
    reasons = Counter(report["ignored"].values())
    lines += [f"ignored {count}: {reason}" for reason, count in reasons.items()]
    if "captions" in report:
        lines.append(f"words: {report['captions']}")
    lines += [f"note: {note}" for note in report["notes"]]
    lines += [f"assumed: {remark}" for remark in report.get("assumed", ())]
    return "\n".join(lines)
