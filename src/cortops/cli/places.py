"""Where an environment on this machine keeps what verbs read directly."""

from __future__ import annotations

import os

from cortops.cli.common import Common
from cortops.cli.compose import host_here_python
from cortops.environment.declared import Environment
from cortops.local.here import data_root, host_here
from cortops.protocol.gateway import Store
from cortops.surfaces.gateway.render import store
from cortops.surfaces.site import HostSite
from cortops.targets.supervisord import Supervisord
from cortops.words.errors import BadInput


def host_of(env: Environment, common: Common, name: str) -> HostSite:
    """A declared host; every one is this machine."""
    root = data_root(os.environ, env.name, common.port_base)
    return host_here(name, root, Supervisord(str(root), host_here_python()))


def gateway_store(env: Environment, common: Common) -> Store:
    """Where the gateway keeps keys and usage; BadInput where none is declared."""
    if env.gateway is None:
        raise BadInput(f"{env.file} declares no gateway", next="Add the section gateway, then run: cortops apply")
    return store(env.gateway, host_of(env, common, env.gateway.on))
