"""After every apply of the suite: no secret's value stands where it should not. By the same search that `cortops secrets check` makes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from cortops.deploy.journal import entries as entries_of
from cortops.deploy.manifest import decode
from cortops.deploy.secrets import SecretStore
from cortops.deploy.secrets_check import IDENTITY, OTHERS
from cortops.deploy.secrets_search import SCRATCH_PLACES, SYSTEM_PLACES, Found, Haystack, Searched, in_texts, program, read, search
from cortops.protocol.foreign import files_folder, parse
from cortops.surfaces.fleet.adopted import BASE
from cortops.targets.local import LocalTarget
from cortops.testing.hosts import SystemHost
from cortops.words.clock import SystemClock
from cortops.words.errors import BadInput
from cortops.words.resource import File, SecretRef


def strays_here(root: Path, environment: str, *texts: str) -> list[str]:
    """Where values of the environment in `root` stand that must not, on this machine and in `texts`; nothing where none was made yet.

    Searched are plan (as a text), journal, manifests, logs, every other file of the folder, and the argument lists of all processes. While
    the last apply is cut off no manifest says which of our own 0600 files hold values, so all of those may.
    """
    store = SecretStore(root / "secrets", SystemClock(), os.urandom, environment=environment)
    entries = store.sealed.entries()
    if not entries:
        return []
    values = {name: entry.value for name, entry in entries.items()} | {IDENTITY: store.sealed.key().decode()}
    public = "\n".join(entry.public for entry in entries.values())
    searched = _searched(Haystack(places=(str(root),)), values, public)
    homes = _homes(root) | {str(store.sealed.identity): frozenset({IDENTITY})}
    said = in_texts(values, {f"text {number}": text for number, text in enumerate(texts)}, "here", public)
    etc = "" if _is_settled(root) else f"{root}/etc/"
    places = [found for found in searched.found if not (etc and found.place.startswith(etc) and not found.mode & OTHERS)]
    return [_told(found) for found in (*places, *said) if not _is_home(found, homes)]


def strays_on(host: SystemHost, env_files: Mapping[str, str], environment: str) -> list[str]:
    """Where keys that the env files of a host hold (node -> path) stand that must not: but in those files and in our copies of them.

    Those copies are for root alone. The keys do not leave the host.
    """
    folders = tuple(dict.fromkeys(path.rpartition("/")[0] for path in env_files.values()))
    hay = Haystack(places=(BASE, *SYSTEM_PLACES), shallow=(*SCRATCH_PLACES, "/root", "/home", *folders), env_files=env_files)
    done = host.run(program(hay, 0))
    searched = read(host.name, done.stdout.splitlines(), "" if done.returncode == 0 else done.stderr)
    assert not searched.why and not searched.unread, searched
    assert {name.partition(" ")[0] for name in searched.searched_for} == set(env_files), "a key of each node was searched for"
    copies = f"{BASE}/{environment}/adopted/"
    own = {path: frozenset(name for name in searched.searched_for if name.startswith(f"{node} ")) for node, path in env_files.items()}
    return [
        _told(found)
        for found in searched.found
        if not (found.where == "file" and found.secret in own.get(found.place, ()))
        and not (found.where == "file" and found.place.startswith(copies) and not found.mode & OTHERS)
    ]


def strays_in(folder: Path, values: Mapping[str, str], texts: Iterable[str] = ()) -> list[str]:
    """Where any of these values stands below a folder of this machine, in argument lists, or in texts."""
    found = _searched(Haystack(places=(str(folder),)), values, "").found
    said = in_texts(values, {f"text {number}": text for number, text in enumerate(texts)}, "here")
    return [_told(one) for one in (*found, *said)]


def _searched(hay: Haystack, values: Mapping[str, str], public: str) -> Searched:
    """In a thread of its own: the caller may be in an event loop."""
    with ThreadPoolExecutor(1) as thread:
        searched = thread.submit(lambda: asyncio.run(search(LocalTarget("here"), hay, values, public))).result()
    assert not searched.why, searched
    return searched


def _homes(root: Path) -> dict[str, frozenset[str]]:
    """Path -> the secrets that the newest manifest says are in it; a cut off apply may have written what a later one records."""
    homes: dict[str, frozenset[str]] = {}
    settings: list[str] = []
    for manifest in sorted((root / "manifests").glob("[0-9]*.json")):
        for item in decode(manifest.read_bytes()).resources:
            if isinstance(item.resource, File):
                homes[item.resource.path] = frozenset(part.name for part in item.resource.content if isinstance(part, SecretRef))
                settings.append("".join(part for part in item.resource.content if isinstance(part, str)))
    for text in settings:
        with suppress(BadInput):  # most files are no settings of a program of others, whose starter copies what they name
            started = parse(text, where="")
            homes |= {f"{files_folder(started.folder)}/{title}": homes.get(source, frozenset()) for title, source in started.files.items()}
    return homes


def _is_settled(root: Path) -> bool:
    """Whether the last apply came to its end, so that the newest manifest tells of every file."""
    path = root / "journal.jsonl"
    told = entries_of(path.read_text("utf-8", "replace").splitlines()) if path.exists() else []
    return bool(told) and (told[-1].event, told[-1].outcome) == ("finished", "ok")


def _is_home(found: Found, homes: Mapping[str, frozenset[str]]) -> bool:
    return found.where == "file" and found.secret.partition("@")[0] in homes.get(found.place, ()) and not found.mode & OTHERS


def _told(found: Found) -> str:
    return f"{found.secret} in {found.place} on {found.host}{f' (mode {found.mode:04o})' if found.where == 'file' else ''}"
