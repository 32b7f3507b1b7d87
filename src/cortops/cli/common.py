"""What every verb takes, and the file that it works on. Light: verbs that only ask hosts load no more of the deploy engine than this."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import cortops
from cortops.environment.declared import Environment, shift_ports
from cortops.environment.load import load_file
from cortops.environment.reason import Invalid
from cortops.words.errors import BadInput

DEFAULT_FILE = "local.yaml"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every verb takes.

    Parameters
    ----------
    port_base
        Shift every local port by this, so that two environments run side by side.
    json
        The result as JSON on standard output.
    debug
        Show the traceback of an error.
    accept_host_key
        Trust a host that is not known yet if its key has this fingerprint, SHA256:...
    ask_sudo
        Ask once for the sudo password of the hosts that we become root on; it is kept nowhere.
    """

    port_base: Annotated[int, Parameter(env_var="CORTOPS_PORT_BASE")] = 0
    json: Annotated[bool, Parameter(negative="")] = False
    debug: Annotated[bool, Parameter(negative="")] = False
    accept_host_key: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    ask_sudo: Annotated[bool, Parameter(negative="")] = False


def environment(file: Path | None, common: Common) -> Environment:
    """The file given, else ./cortops.yaml, else the bundled local.yaml; BadInput with every reason when it is not valid."""
    loaded = load_file(find_file(file))
    if isinstance(loaded, Invalid):
        raise loaded.error()
    return shift_ports(loaded, common.port_base) if common.port_base else loaded


def find_file(file: Path | None) -> Path:
    """Where the environment file is."""
    if file is not None:
        return file
    own = Path("cortops.yaml")
    if own.exists():
        return own
    package = Path(cortops.__file__).parent
    for folder in (package / "examples", package.parent.parent / "examples"):
        if (folder / DEFAULT_FILE).exists():
            return folder / DEFAULT_FILE
    raise BadInput("no environment file given, and none is bundled here", next="Name one: cortops up FILE")


def new_apply_id() -> str:
    """Sorts by time: `20261124T201500-3f2a`."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(2)
