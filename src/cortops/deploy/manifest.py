"""Manifests: what one apply left, numbered by generation; enough to delete or restore it. They hold secret references, never values."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import msgspec

from cortops.deploy.observed import Desired
from cortops.targets.ask import Said, ask
from cortops.targets.quoting import quote
from cortops.targets.target import Target
from cortops.words.errors import StoreUnavailable
from cortops.words.resource import Resource

MANIFESTS_KEPT = 20
MANIFEST_TIMEOUT_S = 30.0

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Resource)}


class _Recorded(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    resource: msgspec.Raw
    attributes: dict[str, str]


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    generation: int
    apply: str
    at: float
    by: str
    environment: str
    digest: str
    tool_version: str
    resources: tuple[_Recorded, ...]
    declared: str = ""
    restores: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an apply left. at: seconds since 1970; resources: with compared attributes, payloads empty (secrets are filled in anew).

    declared: the environment file that it was made from, "" for a host's adopted nodes. restores: of one that goes back, the generation
    that first held what it holds.
    """

    generation: int
    apply: str
    at: float
    by: str
    environment: str
    digest: str
    tool_version: str
    resources: tuple[Desired, ...]
    declared: str = field(default="", repr=False)
    restores: int | None = None


def encode(manifest: Manifest) -> bytes:
    """Manifest -> JSON text."""
    recorded = tuple(
        _Recorded(
            kind=type(item.resource).__name__, resource=msgspec.Raw(msgspec.json.encode(item.resource)), attributes=dict(item.attributes)
        )
        for item in manifest.resources
    )
    written = _Written(
        format=1,
        generation=manifest.generation,
        apply=manifest.apply,
        at=manifest.at,
        by=manifest.by,
        environment=manifest.environment,
        digest=manifest.digest,
        tool_version=manifest.tool_version,
        resources=recorded,
        declared=manifest.declared,
        restores=manifest.restores,
    )
    return msgspec.json.encode(written)


def decode(text: bytes, *, where: str = "manifest") -> Manifest:
    """JSON text -> Manifest. StoreUnavailable when it is damaged or of a newer format."""
    try:
        written = msgspec.json.decode(text, type=_Written)
        if written.format != 1:
            raise StoreUnavailable(f"{where} has format {written.format}, this cortops reads 1", where=where, next="use a newer cortops")
        resources = tuple(
            Desired(resource=msgspec.json.decode(item.resource, type=_KINDS[item.kind]), attributes=item.attributes)
            for item in written.resources
        )
    except (msgspec.DecodeError, KeyError) as error:
        raise StoreUnavailable(f"{where} is damaged: {error}", where=where, next="cortops generations; roll back to another one") from None
    return Manifest(
        generation=written.generation,
        apply=written.apply,
        at=written.at,
        by=written.by,
        environment=written.environment,
        digest=written.digest,
        tool_version=written.tool_version,
        resources=resources,
        declared=written.declared,
        restores=written.restores,
    )


class Manifests:
    """manifests/NNNN.json under `root` on `target`: the newest MANIFESTS_KEPT, and generation 0, which is what was there before us.

    Methods raise StoreUnavailable when the target gives no answer.
    """

    def __init__(self, target: Target, root: str) -> None:
        self._target = target
        self._root = root

    async def generations(self) -> tuple[int, ...]:
        """Numbers of what is kept, oldest first."""
        said = await self._ask('for one in [0-9]*.json; do [ ! -e "$one" ] || echo "${one%.json}"; done')
        return tuple(sorted(int(line) for line in said.out if line.isdigit()))

    async def latest(self) -> Manifest | None:
        """The newest, or None before the first apply."""
        newest = 'for one in [0-9]*.json; do :; done; [ ! -e "$one" ] || base64 <"$one"'
        return self._decoded(await self._ask(newest), "the newest manifest")

    async def read(self, generation: int) -> Manifest | None:
        """One by its number, or None when it is not kept."""
        name = _name(generation)
        return self._decoded(await self._ask(f"[ ! -e {name} ] || base64 <{name}"), f"manifest {generation}")

    async def write(self, manifest: Manifest) -> None:
        """Write it whole or not at all; StoreUnavailable when that generation is there already."""
        text = encode(manifest)
        name = _name(manifest.generation)
        await self._ask(
            f'[ ! -e {name} ] || {{ echo "generation {manifest.generation} was written by another apply" >&2; exit 1; }}\n'
            f"dd bs=65536 count={len(text)} iflag=fullblock,count_bytes status=none >new && "
            f'[ "$(stat -c %s new)" = {len(text)} ] && sync new && mv new {name} || exit 1\n'
            f'set --; for one in [0-9]*.json; do [ $one = {_name(0)} ] || set -- "$@" $one; done\n'
            f'while [ $# -gt {MANIFESTS_KEPT} ]; do rm -f "$1"; shift; done',
            text,
        )

    async def lay_aside(self) -> None:
        """They count no more: another place holds the newest from now on. Kept in `manifests.moved`, for people."""
        await self._ask("cd .. && rm -rf manifests.moved && mv manifests manifests.moved")

    def _decoded(self, said: Said, what: str) -> Manifest | None:
        if not said.out:
            return None
        where = f"{what} on {self._target.name}"
        try:
            return decode(base64.b64decode("".join(said.out), validate=True), where=where)
        except binascii.Error as error:
            raise StoreUnavailable(f"{where} is damaged: {error}", where=where) from None

    async def _ask(self, program: str, data: bytes = b"") -> Said:
        """Run `program` in the folder of manifests; before the first write there is none, and nothing to say."""
        folder = quote(f"{self._root}/manifests")
        enter = (
            f"umask 077; mkdir -p {folder} && cd {folder} || exit 1\n" if data else f"[ -d {folder} ] || exit 0; cd {folder} || exit 1\n"
        )
        said = await ask(self._target, enter + program, MANIFEST_TIMEOUT_S, data)
        if not said.ok:
            raise StoreUnavailable(f"the manifests on {self._target.name} cannot be used: {said.why}", where=self._target.name)
        return said


def _name(generation: int) -> str:
    return f"{generation:04d}.json"


def next_generation(latest: Manifest | None) -> int:
    """The number of the next manifest; the first is 1 (0 is what was there before us, when it was adopted)."""
    return 1 if latest is None else latest.generation + 1


def recorded(latest: Manifest | None) -> Sequence[Desired]:
    """What the newest manifest left, for the plan."""
    return () if latest is None else latest.resources
