"""`python -m cortops.programs.gateway CONFIG.json`: the composition root."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import random
import re
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from cortops.programs.common.logs import Log, failure
from cortops.programs.common.process import start
from cortops.programs.gateway.drains import DrainWatch
from cortops.programs.gateway.handle import Gateway
from cortops.programs.gateway.health import MemberWatch
from cortops.programs.gateway.keycheck import KeyCheck
from cortops.programs.gateway.limits import Limits
from cortops.programs.gateway.pools import Pools
from cortops.programs.gateway.reload import Reload, Settings, load
from cortops.programs.gateway.select import Alone
from cortops.programs.gateway.server import HttpServer
from cortops.programs.gateway.ship import Ship
from cortops.programs.gateway.slots import SlotFile
from cortops.programs.gateway.spool import Spool
from cortops.protocol.deadlines import Deadlines
from cortops.protocol.gateway import GatewayConfig
from cortops.protocol.http import HttpClient
from cortops.protocol.keys import open_keys
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import PortTaken

STOP_GRACE_S = 6.0  # of the 9 s that process.start allows
IDLE_MEMBERS_MAX = 256
GC_EVERY = 10_000  # objects more than before; requests leave no circles behind, connections do
CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def request_ids(clock: Clock) -> Callable[[], str]:
    """Gives ids that no other request has: time in 15 us, so that a table ordered by them grows at one end, then 48 random bits."""
    random_bits = random.Random().getrandbits
    return lambda: f"req_{int(clock.now() * 65_536):012x}{random_bits(48):012x}"


def read_client_id(header: str) -> str:
    """A client's own X-Request-ID if it is short and harmless, else "" (it goes into headers, logs and the usage row)."""
    return header if header and CLIENT_ID.fullmatch(header) else ""


async def serve(settings: Settings, log: Log) -> None:
    """Serve until cancelled; then let requests end, ship what is spooled, and close. A folder without any store gets an empty one; a key
    store that has gone from beside the usage is not replaced: that would turn every customer away as unknown.
    """
    clock, config, reload = SystemClock(), settings.config, Reload(settings, log)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.ask)
    if not Path(config.store.usage_db).exists():
        open_keys(Path(config.store.keys_db)).close()
    gc.collect()
    gc.freeze()  # what lives as long as the process need not be looked at again
    gc.set_threshold(GC_EVERY, *gc.get_threshold()[1:])
    await run(config, log, clock, reload=reload)


async def run(
    config: GatewayConfig, log: Log, clock: Clock, *, started: asyncio.Future[int] | None = None, reload: Reload | None = None
) -> None:
    """`serve` with the clock as an argument; `started` gets the port. reload: who brings another configuration, if anybody."""
    deadlines = Deadlines(clock)
    http = HttpClient(clock=clock, idle_max_per_origin=IDLE_MEMBERS_MAX)
    store = config.store
    label = f"{int(clock.now() * 1000):013}-{os.getpid()}-{secrets.token_hex(2)}"
    spool = Spool(Path(store.spool_folder), segment_max_mib=store.spool_segment_max_mib, fsync=store.spool_fsync == "always", label=label)
    ship = Ship(spool, Path(store.spool_folder), Path(store.usage_db), clock=clock, log=log, every_s=store.ship_every_s)
    keys = KeyCheck(Path(store.keys_db), clock, stale_max_s=store.keys_stale_max_s, defaults=config.key_limits)
    limits = Limits(Path(store.keys_db), label, keys.rules, clock=clock, deadlines=deadlines, log=log)
    rights = SlotFile(Path(store.slots_file)) if store.slots_file else Alone()
    pools = Pools(config, clock, deadlines, rights)
    drains = DrainWatch(Path(store.keys_db), pools, clock, log)
    members = MemberWatch(config, pools, http, clock, log)
    reload = reload or Reload(Settings(path=Path(), config=config), log)
    gateway = Gateway(config, pools=pools, keys=keys, spool=spool, ship=ship, http=http, clock=clock, log=log, reload=reload, limits=limits)
    server = HttpServer(
        gateway.handle,
        config.limits,
        clock=clock,
        deadlines=deadlines,
        new_id=request_ids(clock),
        read_client_id=read_client_id,
        failed=lambda error: log.error("request_failed", **failure(error)),
        error_body=gateway.error_body,
    )

    def take(changed: GatewayConfig) -> None:
        gateway.take(changed)
        server.limit(changed.limits)
        members.follow(changed)
        keys.take(changed.key_limits)

    try:
        await keys.refresh()
        await drains.refresh()
        if keys.trouble:
            log.warning("keys_unavailable", what=keys.trouble, next="create the key store with: cortops keys issue")
        port = await listen(server, config)
        place = {"ip": ",".join(config.listen.ips), "port": port, "models": len(config.models), "pools": len(config.pools)}
        log.info("listening", process=config.name, **place)
        async with asyncio.TaskGroup() as group:
            for each in (keys, limits, ship, pools, drains, members):
                group.create_task(each.run())
            group.create_task(reload.run(take))
            if started is not None:
                started.set_result(port)
    finally:
        await server.stop(STOP_GRACE_S)
        spool.close()
        await ship.step()
        await limits.close()
        for store_ in (ship, keys, drains):
            store_.close()
        deadlines.close()
        await http.close()
        rights.close()


async def listen(server: HttpServer, config: GatewayConfig) -> int:
    """Listen as configured; the port. Raises PortTaken."""
    ips, port = config.listen.ips, config.listen.port
    try:
        return await server.listen(ips, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            place = " or ".join(ips)
            raise PortTaken(f"port {port} on {place} is taken by another program", where=f"{place}:{port}") from error
        raise


def main() -> int:
    """Run the gateway; the exit status."""
    return start("gateway", load, serve)


if __name__ == "__main__":
    sys.exit(main())
