"""What pydantic says about a value -> a finding in the words of cortops."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cortops.environment.reason import Finding, Path, did_you_mean, list_of, nearest, printable, quoted
from cortops.environment.section import Secret

_WANTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "plain text",
    "dict_type": "a block of keys",
    "mapping_type": "a block of keys",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "tuple_type": "a list",
}
_BOUNDS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}


def explain(error: ValidationError, model: type[BaseModel], body: object, path: Path) -> Iterator[Finding]:
    """Every error that `model` found in `body`, which stands at `path`."""
    details = error.errors(include_url=False)
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    for detail in details:
        loc = tuple(step for step in detail["loc"] if step != "[key]")
        if detail["type"] == "missing" and any(_is_misspelt(other, loc) for other in unknown):
            continue  # the unknown key is told, and which one is meant
        owner, field = _owner(model, loc)
        what, instead = _sentence(detail["type"], detail, owner, field, loc)
        yield Finding((*path, *_in_file(loc, body, whole=detail["type"] == "missing")), what, instead)


def known_keys(model: type[BaseModel]) -> list[str]:
    """The keys of a section as they are written in the file."""
    return [info.alias or name for name, info in model.model_fields.items()]


def _is_misspelt(unknown: Path, missing: Path) -> bool:
    return unknown[:-1] == missing[:-1] and bool(nearest(str(unknown[-1]), [str(missing[-1])]))


def _in_file(loc: Path, body: object, *, whole: bool) -> Path:
    """pydantic's location without the steps that only the model has (a block that stands for `every` machine); `whole` keeps the last."""
    steps: list[int | str] = []
    for index, step in enumerate(loc):
        if isinstance(body, dict) and str(step) in body:
            body = body[str(step)]
        elif isinstance(body, list) and isinstance(step, int) and step < len(body):
            body = body[step]
        elif index < len(loc) - 1 or not whole:
            continue
        steps.append(step)
    return tuple(steps)


def _owner(model: type[BaseModel], loc: Path) -> tuple[type[BaseModel], FieldInfo | None]:
    """The section in which the last step of `loc` stands, and its field if there is one of that name."""
    owner, field, inside = model, None, model
    annotation: Any = model
    for step in loc:
        annotation = _plain(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            inside = annotation
            owner, field = inside, next((info for name, info in inside.model_fields.items() if step in (info.alias, name)), None)
            annotation = field.annotation if field is not None else None
        else:
            annotation = next((arg for arg in reversed(typing.get_args(annotation)) if arg is not Ellipsis), None)
            field = _field_of(annotation)
    return owner, field


def _field_of(annotation: Any) -> FieldInfo | None:
    """What an annotation itself says of its values: `Url` has an example wherever it stands."""
    arms = typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else (annotation,)
    notes = [note for arm in arms if typing.get_origin(arm) is typing.Annotated for note in typing.get_args(arm)[1:]]
    return next((note for note in notes if isinstance(note, FieldInfo)), None)


def _plain(annotation: Any) -> Any:
    """An annotation without Annotated and Optional."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif origin in (typing.Union, types.UnionType):
            annotation = next(arg for arg in typing.get_args(annotation) if arg is not type(None))
        else:
            return annotation


def _sentence(kind: str, detail: Mapping[str, Any], owner: type[BaseModel], field: FieldInfo | None, loc: Path) -> tuple[str, str]:
    context, shown, step = detail.get("ctx", {}), _shown(detail["input"], owner, field, loc), str(loc[-1]) if loc else ""
    if kind == "cortops":
        return context["what"], context["instead"]
    if kind == "missing":
        return "is missing", _add(step, field)
    if kind == "extra_forbidden":
        known = known_keys(owner)
        return "is not a key known here", did_you_mean(step, known, otherwise=f"Known here: {list_of(known, limit=20)}.")
    if kind in _WANTED:
        return f"is {shown}, not {_WANTED[kind]}", _write(field, f"Write {_WANTED[kind]}.")
    if kind in _BOUNDS:
        bound = context[_BOUNDS[kind]]
        side = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}[_BOUNDS[kind]]
        return f"is {shown}, out of range", f"Write {side} {bound:g}."
    if kind == "literal_error":
        return f"is {shown}", f"Write {context['expected']}.".replace("'", "").replace("True", "true")
    if kind in ("string_pattern_mismatch", "string_too_short"):
        return f"is {shown}, which is not of the right form", _write(field, _about(field))
    if kind == "string_too_long":
        return "is too long", f"Write at most {context['max_length']} characters."
    if kind == "too_long":
        return f"has {context['actual_length']} entries", f"Write at most {context['max_length']}."
    if kind == "too_short":
        return "is empty", _write(field, "Write at least one.")
    return f"is {shown}: {printable(str(detail['msg'])).lower()}", _write(field, _about(field))


def _example(field: FieldInfo | None) -> str:
    examples = next((told.examples for told in (field, _field_of(field.annotation) if field else None) if told and told.examples), None)
    return str(examples[0]) if examples else ""


def _shown(value: object, owner: type[BaseModel], field: FieldInfo | None, loc: Path) -> str:
    """The value, unless somebody may have put a secret there by mistake (an RPC's url may hold a key)."""
    is_secret = owner is Secret or bool({"url", "references"} & set(loc)) or (field is not None and _plain(field.annotation) is Secret)
    return "(not shown)" if is_secret and isinstance(value, str) else quoted(value)


def _about(field: FieldInfo | None) -> str:
    return (field.description or "") if field is not None and field.description else "See the reference page of the environment file."


def _add(key: str, field: FieldInfo | None) -> str:
    example = _example(field)
    return f"Add {key}: {example}" if example else f"Add {key}: … {_about(field)}"


def _write(field: FieldInfo | None, otherwise: str) -> str:
    example = _example(field)
    return f"Write for example: {example}" if example else otherwise
