"""Whether a certificate is there, and an apply in two parts: nginx with what stands in, then what the authority gave."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.deploy.test_deployment import World, apply, deployment_in, no_gate
from tests.surfaces.stage import EXAMPLE, example, site_of

from cortops.deploy import authority
from cortops.deploy import deployment as engine
from cortops.deploy.acme.plan import CERTIFICATE_WELL, PLACE, obtaining, seen, without_certificates
from cortops.deploy.deployment import Deployment
from cortops.deploy.limits import Accepted
from cortops.deploy.lock import this_process
from cortops.deploy.observed import Absent, Driver, Observed, Present
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Entry, Kind, SecretView
from cortops.environment.crosscheck_secrets import AUTHORITY
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.surfaces.chain.render import PLACE as CHAIN
from cortops.surfaces.proxy import checks as proxy
from cortops.words.change import Action, Change, Plan, Reversal
from cortops.words.entity import Entity
from cortops.words.errors import NotAccepted
from cortops.words.resource import Certificate, File

START, DAY_S = 1_795_800_000.0, 86_400
HOSTNAME = "api.lab.example"
SECRET = f"tls/{HOSTNAME}"
CERTIFICATE = Certificate(place=PLACE, entity=Entity("proxy", HOSTNAME), because="x", hostname=HOSTNAME, secret=SECRET, host="here")
__all__ = ["no_gate"]


def seed(text: str) -> authority.RandomBytes:
    return lambda count: hashlib.shake_256(text.encode()).digest(count)


OURS, PUBLIC = (authority.make_authority(name, START, seed(name)) for name in ("ours", "public"))


def entries(issued: authority.Issued) -> Mapping[str, Entry]:
    kept = {AUTHORITY: (OURS, Kind.AUTHORITY), SECRET: (issued, Kind.CERTIFICATE)}
    return {name: Entry(value=one.key, kind=kind, public=one.certificate, created_at=START) for name, (one, kind) in kept.items()}


@pytest.mark.parametrize(
    ("kept", "day", "expected"),
    [
        ({}, 0, Absent()),
        (entries(authority.stand_in([HOSTNAME], START, seed("1"))), 0, Absent()),
        (entries(authority.issue(OURS, [HOSTNAME], START, seed("2"))), 0, Absent()),
        (entries(authority.issue(PUBLIC, ["www.lab.example"], START, seed("3"))), 0, Absent()),
        (entries(authority.issue(PUBLIC, [HOSTNAME], START, seed("4"))), 0, Present(CERTIFICATE_WELL)),
        (entries(authority.issue(PUBLIC, [HOSTNAME], START, seed("5"))), 300, Present({"days_left": "97 of 397"})),
        (entries(authority.issue(PUBLIC, [HOSTNAME], START, seed("6"))), 500, Present({"days_left": "0 of 397"})),
    ],
)
def test_only_what_an_authority_gave_for_that_name_counts(kept: Mapping[str, Entry], day: int, expected: Observed) -> None:
    assert seen(CERTIFICATE, kept, START + day * DAY_S) == expected


def test_the_first_part_waits_for_no_certificate_that_it_obtains() -> None:
    change = Change(
        target=PLACE, resource="certificate:gateway.localhost", action=Action.CREATE, reason="", reversal=Reversal.EXTERNAL, wave=2
    )
    waiting = obtaining(Plan(environment="lab", digest="", changes=(change,), unchanged=(), unknown=()))
    assert waiting == {Entity("proxy", "gateway.localhost")}
    env = example()
    left = without_certificates([*proxy.checks(env, site_of(env))], waiting)
    names = {hostname: {check.name for check in left if check.entity.name == hostname} for hostname in env.proxy}
    assert names["router.localhost"] - names["gateway.localhost"] == {"certificate", "renewal"}
    assert "route" in names["gateway.localhost"]


def acme_environment() -> Environment:
    rest = "{on: here, port: 8443, to: gateway, tls:"
    text = EXAMPLE.read_text().replace(f"gateway.localhost: {rest} local-ca", f"{HOSTNAME}: {rest} acme")
    loaded = load(text + "\nacme: {directory: 'https://acme.example/directory', agree: true, http_port: 8480}\n", "local.yaml")
    assert isinstance(loaded, Environment), loaded
    return loaded


def deployment_with(root: Path, world: World) -> Deployment:
    """As of test_deployment, with an authority whose certificates are kept when asked for."""
    base = replace(deployment_in(root, world), env=acme_environment())

    def drivers(view: SecretView) -> dict[str, Driver]:
        return {"here": world.driver("here"), CHAIN: world.driver(CHAIN), PLACE: world.driver(PLACE)}

    return replace(base, drivers=drivers)


def test_what_was_obtained_becomes_files_and_a_reload_in_the_same_apply(
    tmp_path: Path, no_gate: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    deployment = deployment_with(tmp_path, world)
    given = authority.issue(PUBLIC, [HOSTNAME], deployment.clock.now(), seed("given"))
    real = engine.waves.apply

    async def obtained(*args: object) -> int:
        made = await real(*args)  # type: ignore[arg-type]
        if given.certificate not in deployment.secrets.publics(secrets_of(deployment.env)).values():
            deployment.secrets.obtained(SECRET, given.certificate + given.key)
        return made

    monkeypatch.setattr(engine.waves, "apply", obtained)
    with pytest.raises(NotAccepted, match="must be accepted by name"):
        apply(deployment)
    assert world.made == []
    words = {
        "apply_id": "a1",
        "owner": this_process(),
        "digest": None,
        "report": lambda event: None,
        "accepted": Accepted(irreversible=True),
    }
    done = asyncio.run(engine.apply(deployment, **words))  # type: ignore[arg-type]
    pem, key = (f"here file:/srv/local/etc/tls/{HOSTNAME}.{ending}" for ending in ("pem", "key"))
    watched = "here file:/srv/local/etc/watch.certificates"
    assert world.made[-5:] == [pem, key, "here service:proxy", watched, "here service:watch"]
    assert world.made.index(f"{PLACE} certificate:{HOSTNAME}") > world.made.index("here service:proxy")
    assert (done.generation, done.made) == (1, len(world.made))
    latest = asyncio.run(deployment.manifests.latest())
    assert latest is not None
    kept = {item.resource.key: item for item in latest.resources}
    assert kept[pem].attributes["sha256"] == hashlib.sha256(given.certificate.encode()).hexdigest()
    assert isinstance(kept[pem].resource, File) and "BEGIN" not in str(kept[pem].resource.content)  # going back fills in today's
    assert asyncio.run(engine.look(deployment)).plan.changes == ()
