"""examples/local.yaml on a host that is the same everywhere: what the tests of surfaces render and judge."""

from __future__ import annotations

from pathlib import Path

from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import SecretView
from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.surfaces.site import HostSite, Site

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "local.yaml"


def example() -> Environment:
    """The bundled environment."""
    loaded = load_file(EXAMPLE)
    assert isinstance(loaded, Environment)
    return loaded


def site_of(env: Environment) -> Site:
    """One host with plain paths; every secret's public part is its stand-in, so nothing here is a key."""
    host = HostSite(
        name="here",
        root="/srv/local",
        python="/py/bin/python",
        nginx="/py/nginx",
        machine="x86_64",
        user="ops",
        services_script="list services",
    )
    view = SecretView(environment=env.name, wanted=secrets_of(env), entries={}, now=0)
    return Site(hosts={"here": host}, public={want.name: view.public(want.name) for want in view.wanted})
