"""Where an environment keeps what verbs read directly."""

from __future__ import annotations

import os

from cortops.cli.common import Common
from cortops.environment.declared import Environment
from cortops.environment.traffic import Gateway
from cortops.local.here import data_root
from cortops.local.units import systemd_there
from cortops.protocol.gateway import Store
from cortops.surfaces.gateway.render import store
from cortops.words.errors import BadInput


def root_of(env: Environment, common: Common, name: str) -> str:
    """The folder of our programs on a declared host."""
    if env.hosts[name].ssh:
        return systemd_there(env.name).root
    return str(data_root(os.environ, env.name, common.port_base))


def gateway_of(env: Environment) -> Gateway:
    """The gateway; BadInput where none is declared."""
    if env.gateway is None:
        raise BadInput(f"{env.file} declares no gateway", next="Add the section gateway, then run: cortops apply")
    return env.gateway


def gateway_hosts(env: Environment) -> tuple[str, ...]:
    """Its hosts in the order in which their records are asked: this machine first. BadInput where none is declared."""
    return tuple(sorted(gateway_of(env).hosts, key=lambda name: bool(env.hosts[name].ssh)))


def gateway_store(env: Environment, common: Common) -> Store:
    """Where the gateway keeps keys and usage, on its own hosts; BadInput where none is declared."""
    return store(gateway_of(env), root_of(env, common, gateway_hosts(env)[0]))
