"""Takes secrets out of text at every boundary: by value, for what is known, and by shape and field name, for what is not. Pure.

A transaction hash and a private key look alike; the name of the field decides, and a bare hash stays.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from cortops.words.errors import CortopsError

REDACTED = "<redacted>"
VALUE_MIN_CHARS = 6  # shorter values are words of the language: taken out by field name only
SIEVE_STEP_MAX = 32  # pieces kept of one form of a secret, at most

_SIEVE_CHARS = (VALUE_MIN_CHARS, 12, 24, sys.maxsize)  # the classes of lengths that are looked for apart

# Words of a field's name, lower case. The first speak of a secret wherever they stand.
_ALWAYS = re.compile(r"password|passwd|passphrase|pwd|secrets?|mnemonic|credentials?|cookie|authorization|apikey|privatekey|secretkey")
_PAIR = re.compile(r"(private|api|access|secret|signing|encryption|session) key|seed phrase|auth token")
_PERHAPS = re.compile(
    r"pass|pwd|secret|mnemonic|credential|cookie|authorization|key|phrase|token"
)  # a name without any of these is no secret's
# Tokens of a language model, of a chain and of a parser are no secrets.
_TOKEN_OF = re.compile(r"gas|native|fee|reward|stop|eos|bos|pad|first|next|last|per|each|erc20|payment|max|min|input|output")
# A last word that makes the field speak about the secret: its name, place, age or size.
_ABOUT = re.compile(
    r"names?|path|files?|folder|ids?|count|type|kind|env|ref|fingerprint|sha256|hash|age|at|s|ms|bytes|length|size|status|url"
    r"|expires|issued|missing|public"
)
_NOTHING = frozenset(["", "none", "null", "true", "false", "missing", "unset", REDACTED])

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_SHAPES = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]{20,}|\b(?:ck|sk)[-_](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}")
_HEADER = re.compile(r"(?i)(\b(?:proxy-)?authorization|\b(?:set-)?cookie)(\s*:\s*)[^\s\"'][^\r\n\"']*")
_BEARER = re.compile(r"(?i)\b(bearer\s+)(?=[A-Za-z._~+/=-]*[0-9]|[^\s\"',;]{16})[A-Za-z0-9._~+/=-]{6,}")
_USERINFO = re.compile(r"(://[^\s/:@\"']*:)[^\s/@\"']+(@)")
_FIELD = re.compile(
    r"""(?P<key>(?<![\w.-])(?:--)?[A-Za-z_][\w.-]*)(?P<mark>\\*["']?\s*[=:]\s*|(?<=[\w])[ ]+(?!--|\s))"""
    r"""(?P<value>\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;&"'\\(){}\[\]<>][^\s,;&"'\\{}\[\]]*)""",
    re.DOTALL,
)
_REFERENCE = re.compile(r"[a-z][a-z0-9-]*(?:/[a-z][a-z0-9-]*)+")  # `secret: router-1/api-key` names one, it is none


def is_sensitive(field: str) -> bool:
    """Whether a field of this name holds a secret.

    `API_KEY`, `dbPassword` and `router.token` do; `NODE_PUBLIC_KEY`, `tx`, `max_tokens` and `secret_name` do not.
    """
    if not _PERHAPS.search(field.lower()):
        return False
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", field)
    words = re.findall(r"[a-z0-9]+", spaced.lower())
    if not words or (_ABOUT.fullmatch(words[-1]) and words[0] not in ("password", "passwd")):
        return False
    if any(map(_ALWAYS.fullmatch, words)) or any(_PAIR.fullmatch(" ".join(pair)) for pair in itertools.pairwise(words)):
        return True
    return words[-1] == "token" and (len(words) == 1 or not _TOKEN_OF.fullmatch(words[-2]))


class Redactor:
    """Redacts the given values wherever they stand (plain, URL-encoded, base64, in JSON), and what is a secret by shape or field name."""

    __slots__ = ("_by_head", "_sieves")

    def __init__(self, values: Iterable[str] = ()) -> None:
        by_head: dict[str, list[str]] = {}
        for form in {form for value in values for form in forms_of(value) if len(form) >= VALUE_MIN_CHARS}:
            by_head.setdefault(form[:VALUE_MIN_CHARS], []).append(form)
        # Looked up by their first letters: the cost of a text does not grow with the number of secrets.
        self._by_head = {head: tuple(sorted(forms, key=len, reverse=True)) for head, forms in by_head.items()}
        self._sieves = tuple(_sieves([form for forms in by_head.values() for form in forms]))

    def __repr__(self) -> str:
        return "Redactor()"

    def redact(self, text: str) -> str:
        """The text with every secret replaced by `<redacted>`; redacting twice changes nothing more."""
        return redact_shapes(self._values(text))

    def _values(self, text: str) -> str:
        if not any(sieve.may_hold(text) for sieve in self._sieves):
            return text
        by_head = self._by_head
        kept: list[str] = []
        start = 0
        for at in [at for at in range(len(text) - VALUE_MIN_CHARS + 1) if text[at : at + VALUE_MIN_CHARS] in by_head]:
            if at < start:  # inside what was just taken out
                continue
            form = next((form for form in by_head[text[at : at + VALUE_MIN_CHARS]] if text.startswith(form, at)), "")
            if form:
                kept += (text[start:at], REDACTED)
                start = at + len(form)
        return "".join((*kept, text[start:]))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Sieve:
    """Says of most texts that they hold none of some forms, without looking at every place.

    A form of n letters covers a whole piece of VALUE_MIN_CHARS letters at one of the places 0, step, 2 * step ..., where
    step = n - VALUE_MIN_CHARS + 1. `pieces`: those that the forms may show there, so `step` of each form.
    """

    step: int
    pieces: frozenset[str]

    def may_hold(self, text: str) -> bool:
        last = len(text) - VALUE_MIN_CHARS
        return not self.pieces.isdisjoint([text[at : at + VALUE_MIN_CHARS] for at in range(0, last + 1, self.step)])


def _sieves(forms: Collection[str]) -> Iterator[_Sieve]:
    """One per class of lengths, so that one short form does not make the step small for all."""
    for least, beyond in itertools.pairwise(_SIEVE_CHARS):
        some = [form for form in forms if least <= len(form) < beyond]
        if some:
            step = min(min(map(len, some)) - VALUE_MIN_CHARS + 1, SIEVE_STEP_MAX)
            yield _Sieve(step=step, pieces=frozenset(form[at : at + VALUE_MIN_CHARS] for form in some for at in range(step)))


def hide(error: BaseException, redact: Callable[[str], str]) -> None:
    """Take secrets out of the texts of an error and of all that it came from, so that no way of printing it shows one."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.args = tuple(redact(part) if isinstance(part, str) else part for part in one.args)
        if isinstance(one, CortopsError):
            one.what, one.where, one.why, one.next = (redact(text) for text in (one.what, one.where, one.why, one.next))
        waiting += [cause for cause in (one.__cause__, one.__context__) if cause is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def redact_shapes(text: str) -> str:
    """What is a secret by its shape (private key blocks, age keys, bearer tokens, passwords in addresses) or by its field's name."""
    text = _BLOCK.sub(REDACTED, text)
    text = _HEADER.sub(rf"\1\2{REDACTED}", text)
    text = _BEARER.sub(rf"\1{REDACTED}", text)
    text = _SHAPES.sub(REDACTED, text)
    text = _USERINFO.sub(rf"\1{REDACTED}\2", text)
    return _fields(text)


def _fields(text: str) -> str:
    """Replace the values of sensitive fields; a field that is none is passed over by its name only, for its value may hold another."""
    kept: list[str] = []
    start = at = 0
    while match := _FIELD.search(text, at):
        at = match.end("key")
        if not _holds_secret(match):
            continue
        value = match["value"]
        quoted = re.match(r"\\*[\"']", value)
        opening = quoted[0] if quoted else ""
        closing = opening if len(value) > len(opening) and value.endswith(opening) else ""
        kept += (text[start : match.start("value")], opening, REDACTED, closing)
        start = at = match.end()
    return "".join((*kept, text[start:]))


def _holds_secret(match: re.Match[str]) -> bool:
    key, mark = match["key"], match["mark"]
    if mark.isspace() and not key.startswith("--"):  # `--password x` is an option and its value, `password x` is prose
        return False
    if not is_sensitive(key):
        return False
    value = match["value"].strip("\\\"'")
    if value.lower() in _NOTHING:
        return False
    return not (re.search(r"(?i)secret$", key) and _REFERENCE.fullmatch(value))


def forms_of(value: str) -> Iterator[str]:
    """A value as it may stand in a text: as it is, line by line, in hex, URL-encoded, in JSON, in base64 at any offset."""
    yield value
    for line in value.splitlines():
        if line != value and not line.startswith("-----") and len(line) >= 16:  # a key block that a log cut into lines
            yield line
    if re.fullmatch(r"0x[0-9a-fA-F]{32,}", value):
        digits = value[2:]
        yield from (digits, digits.lower(), digits.upper())
    raw = value.encode()
    for encoded in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    for offset in range(3):  # base64 of a longer text that holds it: the whole letters between
        whole = base64.b64encode(bytes(offset) + raw).decode()
        inner = whole[(0, 2, 3)[offset] : len(whole) - (0, 3, 2)[(offset + len(raw)) % 3]]
        if offset == 0:
            yield whole.rstrip("=")
        if len(inner) >= 8:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
