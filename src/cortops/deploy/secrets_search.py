"""Where a secret's value stands on a machine: files, argument lists, the journal. Values go in by standard input; only places come out.

A machine is searched for what it holds anyway: its own files' secrets, and what its nodes' env files hold, which it reads itself.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Literal

from cortops.deploy.redact import forms_of
from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.targets.target import Target

SEARCH_TIMEOUT_S = 120.0
FORM_MIN_CHARS = 8  # shorter pieces stand in other texts by chance
FILE_MAX_KIB = 262_144
JOURNAL_DAYS = 7
SHALLOW = 2  # levels of scratch folders, homes, and the folders around env files, which may hold a model
SYSTEM_PLACES = (
    "/etc/systemd",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/etc/cron.d",
    "/etc/crontab",
    "/var/spool/cron",
    "/etc/environment",
    "/etc/profile.d",
    "/etc/supervisor",
    "/var/log",
)
SCRATCH_PLACES = ("/tmp", "/var/tmp")
HISTORIES = (".bash_history", ".zsh_history", ".python_history", ".ash_history", ".local/share/fish/fish_history")

Where = Literal["file", "process", "journal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Haystack:
    """Where one machine is searched.

    places: files and folders, whole. shallow: folders, two levels deep and small files only. env_files: node -> file of which the machine
    itself takes the secrets to search for; key_files: secret -> file that holds its value only. system: argument lists and the journal too.
    """

    places: tuple[str, ...]
    shallow: tuple[str, ...] = ()
    env_files: Mapping[str, str] = field(default_factory=dict)
    key_files: Mapping[str, str] = field(default_factory=dict)
    system: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A value that stands somewhere. place: a path, `pid N (program)`, or `the journal`. mode: of a file, as 0o600."""

    host: str
    where: Where
    secret: str
    place: str
    mode: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A file that holds one key: its mode, and whether it has the form of one and nothing else."""

    secret: str
    mode: int
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """One machine. unread: whose values the machine could not read itself. why: it could not be searched to the end, "" when it was."""

    host: str
    found: tuple[Found, ...] = ()
    keys: tuple[KeyFile, ...] = ()
    unread: tuple[str, ...] = ()
    searched_for: tuple[str, ...] = ()
    why: str = ""


async def search(target: Target, hay: Haystack, values: Mapping[str, str], public: str = "") -> Searched:
    """Search a machine for `values` (secret -> value) and for what its own env and key files hold.

    public: what may stand anywhere, certificates; pieces of a key that are pieces of it too (its public half) are not looked for.
    """
    data = patterns(values, public)
    said = await ask(target, program(hay, len(data)), SEARCH_TIMEOUT_S, data)
    return read(target.name, said.out, "" if said.ok else said.why)


def patterns(values: Mapping[str, str], public: str = "") -> bytes:
    """The lines that go in: `secret TAB form`, every form that a value may stand in."""
    lines = (f"{name}\t{form}\n" for name, value in values.items() for form in sorted(_lines_of(value)) if form not in public)
    return "".join(lines).encode()


def program(hay: Haystack, data_bytes: int) -> str:
    """The sh text; it holds paths and names, and no value."""
    takes = [f"take_env {quote(name)} {quote(path)}" for name, path in hay.env_files.items()]
    takes += [f"take_key {quote(name)} {quote(path)}" for name, path in hay.key_files.items()]
    read_data = f"all=$(dd bs=65536 count={data_bytes} iflag=fullblock,count_bytes status=none)\n" if data_bytes else "all=\n"
    lines = [
        resources.files("cortops.deploy").joinpath("secrets_search.sh").read_text("utf-8"),
        f"file_max_kib={FILE_MAX_KIB} shallow={SHALLOW} days={JOURNAL_DAYS}",
        read_data + "\n".join(takes),
        "searched_for",
        f"in_places {' '.join(map(quote, hay.places))}" if hay.places else "",
        f"in_shallow {' '.join(map(quote, hay.shallow))}" if hay.shallow else "",
        "in_processes; in_journal" if hay.system else "",
        "echo end",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def read(host: str, lines: Iterable[str], why: str = "") -> Searched:
    """What the program printed -> what was found, each place once."""
    found: dict[Found, None] = {}
    keys: list[KeyFile] = []
    unread: list[str] = []
    asked: list[str] = []
    ended = False
    for line in lines:
        match line.split("\t", 3):
            case ["file", secret, mode, path]:
                found[Found(host=host, where="file", secret=secret, place=path, mode=int(mode, 8))] = None
            case ["process", secret, place]:
                found[Found(host=host, where="process", secret=secret, place=place)] = None
            case ["journal", secret]:
                found[Found(host=host, where="journal", secret=secret, place="the journal")] = None
            case ["key", secret, mode, count]:
                keys.append(KeyFile(secret=secret, mode=int(mode, 8), fits=count == "1"))
            case ["unread", name]:
                unread.append(name)
            case ["for", name]:
                asked.append(name)
            case ["end"]:
                ended = True
    cut = why or ("" if ended else "the search did not come to its end")
    return Searched(host=host, found=tuple(found), keys=tuple(keys), unread=tuple(unread), searched_for=tuple(asked), why=cut)


def in_texts(values: Mapping[str, str], texts: Mapping[str, str], host: str, public: str = "") -> tuple[Found, ...]:
    """The same for texts that are here already, a plan as it is printed: name -> text."""
    return tuple(
        Found(host=host, where="file", secret=secret, place=place)
        for place, text in texts.items()
        for secret, value in values.items()
        if any(form in text for form in _lines_of(value) if form not in public)
    )


def _lines_of(value: str) -> set[str]:
    lines = {line for form in forms_of(value) for line in form.splitlines()}
    open_to_all = _public_half(value)
    return {line for line in lines if len(line) >= FORM_MIN_CHARS and not line.startswith("-----") and _raw(line) not in open_to_all}


def _public_half(value: str) -> bytes:
    """What a private key in PEM form says of its public one, as it stands in every certificate of it (RFC 5280, 4.1.2.7); else nothing."""
    if "PRIVATE KEY-----" not in value:
        return b""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        public = serialization.load_pem_private_key(value.encode(), password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return b""
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _raw(line: str) -> bytes:
    """The bytes of a line of base64; the line itself where it is none."""
    try:
        return base64.b64decode(line, validate=True)
    except ValueError:
        return line.encode()
