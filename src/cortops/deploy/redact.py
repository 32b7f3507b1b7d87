"""Takes secrets out of text at every boundary: by value, for what is known, and by shape and field name, for what is not. Pure.

A transaction hash and a private key look alike; the name of the field decides, and a bare hash stays.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

REDACTED = "<redacted>"
VALUE_MIN_CHARS = 6  # shorter values are words of the language: taken out by field name only

# Words of a field's name, lower case. The first speak of a secret wherever they stand.
_ALWAYS = re.compile(r"password|passwd|passphrase|pwd|secrets?|mnemonic|credentials?|cookie|authorization|apikey|privatekey|secretkey")
_PAIR = re.compile(r"(private|api|access|secret|signing|encryption|session) key|seed phrase|auth token")
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
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", field)
    words = re.findall(r"[a-z0-9]+", spaced.lower())
    if not words or (_ABOUT.fullmatch(words[-1]) and words[0] not in ("password", "passwd")):
        return False
    if any(map(_ALWAYS.fullmatch, words)) or any(_PAIR.fullmatch(" ".join(pair)) for pair in itertools.pairwise(words)):
        return True
    return words[-1] == "token" and (len(words) == 1 or not _TOKEN_OF.fullmatch(words[-2]))


class Redactor:
    """Redacts the given values wherever they stand (plain, URL-encoded, base64, in JSON), and what is a secret by shape or field name."""

    __slots__ = ("_by_head",)

    def __init__(self, values: Iterable[str] = ()) -> None:
        by_head: dict[str, set[str]] = {}
        for value in values:
            for form in _forms(value):
                if len(form) >= VALUE_MIN_CHARS:
                    by_head.setdefault(form[:VALUE_MIN_CHARS], set()).add(form)
        # Looked up by their first letters: the cost of a text does not grow with the number of secrets.
        self._by_head = {head: tuple(sorted(forms, key=len, reverse=True)) for head, forms in by_head.items()}

    def __repr__(self) -> str:
        return "Redactor()"

    def redact(self, text: str) -> str:
        """The text with every secret replaced by `<redacted>`; redacting twice changes nothing more."""
        return redact_shapes(self._values(text))

    def _values(self, text: str) -> str:
        by_head = self._by_head
        if not by_head:
            return text
        kept: list[str] = []
        start = at = 0
        end = len(text) - VALUE_MIN_CHARS
        while at <= end:
            forms = by_head.get(text[at : at + VALUE_MIN_CHARS], ())
            form = next((form for form in forms if text.startswith(form, at)), "")
            if form:
                kept += (text[start:at], REDACTED)
                at = start = at + len(form)
            else:
                at += 1
        return "".join((*kept, text[start:]))


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
    key, mark, value = match["key"], match["mark"], match["value"].strip("\\\"'")
    if mark.isspace() and not key.startswith("--"):  # `--password x` is an option and its value, `password x` is prose
        return False
    if not is_sensitive(key) or value.lower() in _NOTHING:
        return False
    return not (re.search(r"(?i)secret$", key) and _REFERENCE.fullmatch(value))


def _forms(value: str) -> Iterator[str]:
    """The value as it may stand in a text."""
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
