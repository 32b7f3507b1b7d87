"""Which members are drained, for verbs that should say so beside their own matter."""

from __future__ import annotations

from datetime import UTC, datetime

from cortops.cli.common import Common
from cortops.cli.places import gateway_store
from cortops.cli.records import ask_records
from cortops.environment.declared import Environment
from cortops.programs.gateway.drain_records import ListDrains
from cortops.protocol.drains import Drain
from cortops.words.errors import StoreUnavailable


def read(env: Environment, common: Common) -> list[Drain]:
    """Those that go on. Raises BadInput where no gateway is declared, StoreUnavailable where its store cannot be asked."""
    return ask_records(env, common, ListDrains(keys_db=gateway_store(env, common).keys_db), list[Drain])


def drains_known(env: Environment, common: Common) -> list[Drain]:
    """As `read`; none where nobody can know: before the first apply there is no store."""
    try:
        return read(env, common) if env.gateway is not None else []
    except StoreUnavailable:
        return []


def drain_line(drain: Drain) -> str:
    """`router-2 is drained, by ops@h1 since 27 Nov 13:58:01 UTC: a new kernel (cortops pools undrain router-2)`."""
    why = f": {drain.why}" if drain.why else ""
    return f"{drain.member} is drained, by {drain.by} since {when(drain.since)}{why} (cortops pools undrain {drain.member})"


def when(at: float) -> str:
    """Seconds since 1970 as people read them."""
    found = datetime.fromtimestamp(at, UTC)
    return f"{found.day} {found:%b %H:%M:%S} UTC"
