"""The env file of a program: `KEY=VALUE` lines, read in every quoting that installers write, written in one."""

from __future__ import annotations

from collections.abc import Mapping

from cortops.words.errors import BadInput


def parse(text: str, *, where: str = "env file") -> dict[str, str]:
    """Text of an env file -> {key: value}; the last of a repeated key wins.

    Reads `KEY=v`, `KEY="v"`, `KEY='v'` and `export KEY=v`; `#` starts a comment only at the start of a line or after a blank.
    Raises BadInput with the line's number on anything else. Source: facts A.1, operators 2.6 (quoted and unquoted addresses).
    """
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.removeprefix("export ").partition("=")
        key = key.strip()
        if not equals or not key.replace("_", "a").isalnum():
            raise BadInput(f"{where}:{number} is not of the form KEY=VALUE", where=f"{where}:{number}")
        values[key] = _unquote(value.strip())
    return values


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.split(" #", 1)[0].rstrip()


def render(values: Mapping[str, str]) -> str:
    """{key: value} -> text that `parse`, systemd's EnvironmentFile and a shell read alike: no quotes, one key a line.

    Raises ValueError for a value with a line break, which no env file can hold.
    """
    for key, value in values.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"{key} holds a line break")
    return "".join(f"{key}={value}\n" for key, value in values.items())
