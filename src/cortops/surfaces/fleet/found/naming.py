"""The names of found nodes in an environment file: plain, telling, and the same the next time. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from cortops.surfaces.fleet.found.installed import Installed, Shape

NAME_MAX = 31

_PLAINEST = (Shape.SYSTEMD, Shape.ANSIBLE, Shape.SALT, Shape.DOCKER, Shape.NOHUP)  # who gets the plain name where two would

Identity = tuple[str, str, str]  # host, container or "", env file: what makes a node the same one as last time

_LETTERS: Final[Mapping[str, str]] = {
    "router": "r",
    "miner": "m",
    "oracle": "o",
    "validator": "v",
    "pool-oracle": "p",
    "quality-oracle": "q",
}


def identity(node: Installed) -> Identity:
    """What a node is known by from one look to the next."""
    return (node.host, node.unit if node.shape is Shape.DOCKER else "", node.env_file)


def by_number(name: str) -> tuple[str, int, str]:
    """What names are sorted by, so that m2 stands before m10."""
    stem = name.rstrip("0123456789")
    return (stem, int(name[len(stem) :] or 0), name)


def plain(text: str) -> str:
    """Any text as (part of) a name: a to z, 0 to 9 and single -."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:NAME_MAX]


def name_nodes(nodes: Iterable[Installed], known: Mapping[Identity, str], taken: Iterable[str] = ()) -> dict[Identity, str]:
    """Node -> its name: the one it has (`known`), else `h1-m7`, `h1-miner` or `h1-WORD` by its instance; never one that is taken."""
    ordered = sorted(nodes, key=lambda node: (node.host, _PLAINEST.index(node.shape), _natural(node.instance), identity(node)))
    names = {identity(node): known[identity(node)] for node in ordered if identity(node) in known}
    used = {*taken, *known.values()}
    for node in ordered:
        if identity(node) not in names:
            name = next(name for name in _candidates(node) if name not in used)
            names[identity(node)] = name
            used.add(name)
    return names


def _candidates(node: Installed) -> Iterable[str]:
    host, instance = plain(node.host)[:15].strip("-") or "host", plain(node.instance)
    if re.fullmatch(r"[0-9]+", node.instance):
        first = f"{host}-{_LETTERS[node.role]}{node.instance}"
    elif not instance:
        first = f"{host}-{node.role}"
    else:
        first = f"{host}-{instance}"
    yield _cut(first)
    yield _cut(f"{first}-{plain(node.user)}" if node.shape is Shape.NOHUP else f"{first}-{node.shape}")
    for number in range(2, 100_000):
        yield _cut(first, f"-{number}")


def _cut(name: str, end: str = "") -> str:
    return name[: NAME_MAX - len(end)].strip("-") + end


def _natural(instance: str) -> tuple[int, int, str]:
    return (0, int(instance), "") if instance.isascii() and instance.isdigit() else (1, 0, instance)
