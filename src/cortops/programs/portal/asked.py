"""What is asked for when a key is made: read from JSON or a form, and held against what its maker may give. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from cortops.protocol.keys import FAMILY_SCOPE, MODEL_SCOPE, NAME_MAX, PORTAL_SCOPE, SCOPES_MAX, KeyRow, Organisation
from cortops.protocol.limits import KINDS, NO_LIMITS, KeyLimits
from cortops.protocol.openai import ApiError
from cortops.protocol.portal import PortalConfig

EXPIRES_MAX_DAYS = 3650
FIELDS_MAX = 100  # of one form


class OwnLimits(KeyLimits, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A key's limits as they are asked for: one that is misspelt is refused, not left out."""


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made: name, what it may use (all, where nothing is named), when it ends, and limits of its own."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
    scopes: Annotated[tuple[Annotated[str, Meta(max_length=160)], ...], Meta(max_length=SCOPES_MAX)] = ()
    expires_in_days: Annotated[float, Meta(gt=0, le=EXPIRES_MAX_DAYS)] | None = None
    limits: OwnLimits = OwnLimits()


class Form:
    """The fields of a sent form; the first of each name counts, but for those that may come often."""

    def __init__(self, body: bytes) -> None:
        """Raises ValueError for what is no form, or has too many fields."""
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
        self._fields = fields
        self.values: Mapping[str, str] = dict(reversed(fields))

    def get(self, name: str) -> str:
        """The field's text without blanks around it, "" where it was not sent."""
        return self.values.get(name, "").strip()

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field that may come often."""
        return tuple(value for field, value in self._fields if field == name)


def from_json(body: bytes) -> NewKey | ApiError:
    """The body of POST /portal/api-keys, or why it is none."""
    try:
        return _checked(msgspec.json.decode(body, type=NewKey))
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at `$")
        return _wrong(f"The body does not fit: {words}.", place.strip("`").lstrip(".") or None)
    except (ValueError, RecursionError):
        return ApiError(status=400, code="invalid_json", message="The body is not JSON.")


def from_form(form: Form) -> NewKey | ApiError:
    """The same from a form; an empty field is one that was not given."""
    numbers: dict[str, float] = {}
    for name in ("expires_in_days", *KINDS):
        text = form.get(name)
        if not text:
            continue
        try:
            numbers[name] = float(text) if name == "expires_in_days" else int(text)
        except ValueError:
            return _wrong(f"{name} is {text[:40]!r}, not a number. Write for example 30, or leave it empty.", name)
    days = numbers.pop("expires_in_days", None)
    asked = {"name": form.get("name"), "scopes": form.all("scope"), "expires_in_days": days, "limits": numbers}
    try:
        return _checked(msgspec.convert(asked, NewKey))
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at `$")
        return _wrong(f"{place.strip('`').lstrip('.').rpartition('.')[2] or 'The form'}: {words}.", place.strip("`").lstrip(".") or None)


def refused(asked: NewKey, maker: KeyRow, organisation: Organisation | None, config: PortalConfig) -> ApiError | None:
    """Why this maker may not make this key; None when they may.

    No scope `portal`, no model or family that is not there, none that the maker's own key may not use, no limit above the organisation's.
    """
    known = {*(MODEL_SCOPE + model for model in config.models), *(FAMILY_SCOPE + family for family in config.families)}
    for scope in asked.scopes:
        if scope == PORTAL_SCOPE:
            return ApiError(
                status=403, code="operator_only", message="Only whoever runs the gateway issues keys with the scope portal.", param="scopes"
            )
        if scope not in known:
            told = ", ".join(sorted(known)) or "none"
            return _wrong(f"There is no scope {scope[:80]!r} here. Known: {told}.", "scopes")
    for kind in (MODEL_SCOPE, FAMILY_SCOPE):
        own = [scope for scope in maker.scopes if scope.startswith(kind)]
        wanted = [scope for scope in asked.scopes if scope.startswith(kind)]
        if own and (not wanted or not set(wanted) <= set(own)):
            return ApiError(
                status=403,
                code="scope_missing",
                message=f"Your own key may use only {', '.join(own)}: name one or more of these.",
                param="scopes",
            )
    return _limits_refused(asked.limits, organisation.limits if organisation is not None else NO_LIMITS)


def _limits_refused(asked: KeyLimits, most: KeyLimits) -> ApiError | None:
    for kind in KINDS:
        wanted, allowed = getattr(asked, kind), getattr(most, kind)
        if wanted is not None and allowed is not None and wanted > allowed:
            return _wrong(f"{kind} is {wanted:,}, above the {allowed:,} of your organisation. Set at most that.", f"limits.{kind}")
    return None


def _checked(asked: NewKey) -> NewKey | ApiError:
    if not asked.name.isprintable() or not asked.name.strip():
        return _wrong(f"A key's name has 1 to {NAME_MAX} printable characters.", "name")
    if asked.expires_in_days is not None and not math.isfinite(asked.expires_in_days):
        return _wrong("expires_in_days is not a number.", "expires_in_days")
    return asked


def _wrong(message: str, param: str | None) -> ApiError:
    return ApiError(status=400, code="invalid_body", message=message, param=param)


def days_of(text: str, default: int, most: int) -> int | ApiError:
    """`?days=` of a request for usage."""
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= most:
        return _wrong(f"days is {text[:20]!r}. Write a whole number from 1 to {most}.", "days")
    return int(text)


def limits_text(limits: KeyLimits) -> str:
    """`60 requests/min, 2,000,000 tokens/month`; "none of its own" where nothing is set."""
    words: Sequence[str] = [f"{getattr(limits, kind):,} {LABELS[kind]}" for kind in KINDS if getattr(limits, kind) is not None]
    return ", ".join(words) or "none of its own"


LABELS: Mapping[str, str] = {
    "requests_per_min": "requests/min",
    "tokens_per_min": "tokens/min",
    "streams_max": "streams at once",
    "tokens_per_month": "tokens/month",
}
