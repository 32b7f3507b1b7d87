from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest

from cortops.deploy.manifest import MANIFESTS_KEPT, Manifest, Manifests, decode, encode, next_generation
from cortops.deploy.observed import Desired
from cortops.testing.host import Host, host
from cortops.words.entity import Entity
from cortops.words.errors import StoreUnavailable
from cortops.words.resource import (
    AuthorizedKey,
    Blob,
    Certificate,
    Contract,
    ContractState,
    Cortensord,
    Directory,
    DnsRecord,
    File,
    Funded,
    NodeProgram,
    Resource,
    SecretRef,
    Service,
    Tree,
)

COMMON = {"place": "h1", "entity": Entity("node", "m1"), "because": "t:1", "needs": ("h1 directory:/d",)}
NODE = {"name": "m1", "shape": "salt", "unit": "u", "env_file": "/e", "log": "/l", "binary": "/b", "runs": "minerv4", "address": ""}
RESOURCES: tuple[Resource, ...] = (
    Directory(**COMMON, path="/d", mode=0o700, keep=True),
    File(**COMMON, path="/d/é\n", content=("KEY=", SecretRef("m1/key"), "\n"), mode=0o600),
    Blob(**COMMON, path="/b", release="r1", sha256="ab", size=3),
    Tree(**COMMON, path="/t", archive="/b", sha256="ab", size=3, python="3.11", machine="x86_64"),
    AuthorizedKey(**COMMON, account="ops", public="ssh-ed25519 AAAA", command="/o", mark="cortops-lab"),
    Service(**COMMON, name="m1", argv=("a", "b c"), directory="/d", log_path="/l", ports=(1, 2), restart_on=("h1 file:/x",)),
    Contract(**COMMON, name="c", rpc_url="http://x", address="0x1", init_code="0x2", code_hash="0x3", salt="0x5", signer=SecretRef("w")),
    ContractState(**COMMON, name="s", rpc_url="http://x", to="0x1", read="0x2", expect="0x3", write="0x4", signer=SecretRef("w")),
    Funded(**COMMON, name="f", rpc_url="http://x", address="0x1", at_least_wei=10**20),
    DnsRecord(**COMMON, name="api.lab.example", type="A", values=("203.0.113.7", "203.0.113.8"), ttl_s=300),
    Certificate(**COMMON, hostname="api.lab.example", secret="tls/api.lab.example", host="h1"),
    Cortensord(**COMMON, name="m1", shape="salt", runs="minerv4", unit="u", env_file="/e", log="/l", binary="/b", address=""),
    NodeProgram(**COMMON, **NODE, program="ab", release="r1", blob="/b/ab", saved="/s/m1", unit_sha256="u1", env_sha256="e1", whole=True),
)
MANIFEST = Manifest(
    generation=1,
    apply="a1",
    at=1_800_000_000.5,
    by="me@here",
    environment="lab",
    digest="d1",
    tool_version="0.1.0",
    resources=tuple(Desired(resource=one, attributes={"sha256": "ab"}, payload=b"the secret") for one in RESOURCES),
    declared="format: 1\nenvironment: lab  # é\n",
    restores=0,
)


@pytest.fixture(name="h")
def _host() -> Iterator[Host]:
    with host() as made:
        yield made


def test_every_kind_of_resource_comes_back_equal_without_payload() -> None:
    assert {type(one) for one in RESOURCES} == set(get_args(Resource))
    back = decode(encode(MANIFEST))
    assert back == replace(MANIFEST, resources=tuple(replace(one, payload=b"") for one in MANIFEST.resources))
    assert b"the secret" not in encode(MANIFEST)


@pytest.mark.parametrize("text", [b"", b"{}", encode(MANIFEST)[:-9], encode(MANIFEST).replace(b'"File"', b'"Nope"')])
def test_a_damaged_manifest_says_so(text: bytes) -> None:
    with pytest.raises(StoreUnavailable, match="is damaged"):
        decode(text)


def test_a_newer_format_is_refused_not_guessed() -> None:
    with pytest.raises(StoreUnavailable, match="has format 2"):
        decode(encode(MANIFEST).replace(b'"format":1', b'"format":2'))


def test_written_read_and_the_newest_kept(h: Host) -> None:
    store = Manifests(h.target, str(h.root))
    big = File(**COMMON, path="/big", content=("x" * 300_000,))

    async def main() -> None:
        assert await store.latest() is None
        assert await store.generations() == ()
        assert await store.read(1) is None
        await store.write(replace(MANIFEST, resources=(Desired(resource=big, attributes={}),)))
        latest = await store.latest()
        assert latest is not None
        assert latest.resources == (Desired(resource=big, attributes={}),)
        assert next_generation(latest) == 2
        assert (h.root / "manifests/0001.json").stat().st_mode & 0o777 == 0o600
        with pytest.raises(StoreUnavailable, match="generation 1 was written by another apply"):
            await store.write(MANIFEST)

    asyncio.run(main())


def test_only_the_newest_are_kept(h: Host) -> None:
    store = Manifests(h.target, str(h.root))
    folder = h.root / "manifests"
    folder.mkdir()
    for generation in range(MANIFESTS_KEPT + 1):
        (folder / f"{generation:04d}.json").write_bytes(encode(replace(MANIFEST, generation=generation)))

    async def main() -> None:
        await store.write(replace(MANIFEST, generation=MANIFESTS_KEPT + 1))
        assert await store.generations() == (0, *range(2, MANIFESTS_KEPT + 2)), "what was there before us is kept for ever"
        latest = await store.latest()
        assert latest is not None
        assert latest.generation == MANIFESTS_KEPT + 1

    asyncio.run(main())
