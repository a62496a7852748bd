"""Fields of a configuration as the reference's JSON files have them."""

import enum
from collections.abc import Mapping
from typing import Any, get_args

from xabl.errors import UserError
from xabl.models.region_embedding import NONE, REGION_EMBEDDINGS, RegionEmbedding

IntMap = tuple[tuple[int, int], ...]  # a hashable {sublayer: number}
Weights = tuple[tuple[str, float], ...]  # a hashable {visual target: weight}

# Legal in reference files and of no effect here: heads of later tasks.
_IGNORED_FIELDS = frozenset(
    {"bert_model", "clf_hidden_size", "model", "qa_num_answers", "qa_task_weight"}
)
# Legal with these values only: another value would compute something else.
_FIXED_FIELDS = {
    "fixed_layers": ([],),
    "max_boxes": (36,),
    "norm_embeddings": (False,),
    "objective": (1,),
    "pad_token_id": (0,),
    "v_initializer_range": (0.02,),
    "visualization": (False,),
}
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_OUT_OF_SCOPE_MODELS = ("roberta", "m3p", "uc2", "xlm")


def decoded(fields: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the fields that a configuration keeps.

    Args:
        fields: as in a file.
        types: of the fields that it keeps.

    Raises:
        UserError: a model that is out of scope, an unknown field, a value that does
            not fit its field.
    """
    for key in ("model", "bert_model"):
        value = str(fields.get(key, "")).lower()
        if any(word in value for word in _OUT_OF_SCOPE_MODELS):
            raise UserError(
                f"{key} is {fields[key]!r}; RoBERTa, M3P and UC2 variants are not "
                "supported, only models over BERT are"
            )
    unknown = sorted(set(fields) - set(types) - _IGNORED_FIELDS - set(_FIXED_FIELDS))
    if unknown:
        raise UserError(
            f"unknown configuration fields {', '.join(unknown)}; they might change "
            "what the model computes, so they are not skipped"
        )
    for key, allowed in _FIXED_FIELDS.items():
        if key in fields and fields[key] not in allowed:
            raise UserError(
                f"{key} is {fields[key]!r}, only {allowed[0]!r} is supported"
            )
    values = {}
    for key, value in _with_case(fields).items():
        if key in types:
            try:
                values[key] = _decoded(value, types[key])
            except (TypeError, ValueError, ArithmeticError) as error:
                raise UserError(f"field {key}: {error}") from error
    return values


def _with_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with `do_lower_case` as the name of the BERT model has it."""
    bert = str(fields.get("bert_model", "")).lower()
    if "cased" not in bert:
        return dict(fields)
    lower = "uncased" in bert
    if fields.get("do_lower_case", lower) is not lower:
        raise UserError(
            f"bert_model is {fields['bert_model']!r}, but do_lower_case is "
            f"{fields['do_lower_case']!r}; correct one of them"
        )
    return {**fields, "do_lower_case": lower}


def _decoded(value: Any, kind: Any) -> Any:
    if kind is RegionEmbedding:
        name = NONE.name if value is None else value
        if name not in REGION_EMBEDDINGS:
            raise ValueError(f"{name!r} is not one of {', '.join(REGION_EMBEDDINGS)}")
        return REGION_EMBEDDINGS[name]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if kind == tuple[int, ...]:
        return tuple(_scalar(number, int) for number in _container(value, list, tuple))
    if kind == IntMap:
        numbers = _container(value, dict).items()
        return tuple(
            sorted((_number(key), _scalar(number, int)) for key, number in numbers)
        )
    if kind == Weights:
        weights = _container(value, dict).items()
        return tuple((key, float(_scalar(weight, float))) for key, weight in weights)
    return _scalar(value, *(get_args(kind) or (kind,)))


def _container(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        expected = {dict: "an object", list: "a list"}[kinds[0]]
        raise ValueError(f"expected {expected}, found {value!r}")
    return value


def _scalar(value: Any, *kinds: type) -> Any:
    """A value of one of the kinds; True is no number, and a whole one a float."""
    if type(value) not in kinds and not (float in kinds and type(value) is int):
        expected = " or ".join(_NAMES.get(kind, "null") for kind in kinds)
        raise ValueError(f"expected {expected}, found {value!r}")
    return value


def _number(key: str) -> int:
    """The key of a sublayer, which JSON has as text."""
    if not (key.isascii() and key.isdecimal() and str(int(key)) == key):
        raise ValueError(f"expected the number of a sublayer, found {key!r}")
    return int(key)


def encoded(value: Any, kind: Any) -> Any:
    """The value of a field of type `kind` as a file has it."""
    if isinstance(value, RegionEmbedding):
        return value.name
    if isinstance(value, enum.Enum):
        return value.value
    if kind == IntMap:
        return {str(key): number for key, number in value}
    if kind == Weights:
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    return value
