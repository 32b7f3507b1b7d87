"""What goes wrong on hosts of operators, each built by hand on a host of its own: operators 2.6, facts A.1 and I, story 17."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.hosts.shapes import Net, Node, ansible, install, salt, systemd

from cortops.testing.cortensord import GOOD, compiled, lfs_pointer
from cortops.testing.cortensord.network import address_of
from cortops.testing.hosts import Fleet, SystemHost, hosts

# A testnet runtime as the environment record has it; nothing of it can be reached from a test host.
NET = Net(rpc_url="https://rpc.example/v1/none", chain_id="421614", runtime="0xa438cE917a5740267e0f7217f81cbbAA23E7e106")
QUIET = {"STANDIN_ROUND_EVERY_S": "60", "STANDIN_POLL_MS": "1000"}
ROUTER = {
    "AGENT_ROLE": "routerv1",
    "ROUTER_EXTERNAL_PORT": '"9001"',
    "ROUTER_REST_BIND_IP": '"127.0.0.1"',
    "ROUTER_REST_BIND_PORT": '"5010"',
}
ROUTER_COMPLETE = {"API_ENABLE": "1", "API_PORT": "5010", "ROUTER_EXTERNAL_IP": '"198.51.100.7"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. nodes: those of its host, which is called as the fault. program: what lies where the program should. after: done last."""

    name: str
    nodes: tuple[Node, ...]
    net: Net = NET
    program: Callable[[Path], bytes] = Path.read_bytes
    after: Callable[[SystemHost], object] = field(default=lambda host: None)
    start: bool = True


def _restart_timer(host: SystemHost) -> None:
    """The installer's daily timer, which restarts a unit of another name than the one that is installed."""
    unit = "[Unit]\nDescription=Restart Cortensor Daemon\n\n[Service]\nType=oneshot\nExecStart=/bin/systemctl restart cortensord.service\n"
    host.put("/etc/systemd/system/cortensord-restart.service", unit.encode())
    timer = (
        "[Unit]\nDescription=Periodic restart\n\n[Timer]\nOnCalendar=*-*-* 04:00:00\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n"
    )
    host.put("/etc/systemd/system/cortensord-restart.timer", timer.encode())
    host.do("systemctl daemon-reload && systemctl enable --now --quiet cortensord-restart.timer")


def _router(host: str, **lines: str) -> Node:
    return systemd(host, runs="routerv1", role="router", env=QUIET | ROUTER | ROUTER_COMPLETE | {"API_KEY": secrets.token_hex(16)} | lines)


def _one_wallet(host: str) -> tuple[Node, ...]:
    first = ansible(host, 1, env=QUIET)
    return first, replace(ansible(host, 2, env=QUIET), address=first.address, private_key=first.private_key)


def _quotes(host: str) -> tuple[Node, ...]:
    """The same address in each way that people write it."""
    node = salt(host, "quoted", env=QUIET)
    quoted = replace(node, env=QUIET | {"NODE_PUBLIC_KEY": f'"{node.address}"'})
    single = salt(host, "single", env=QUIET)
    single = replace(single, env=QUIET | {"NODE_PUBLIC_KEY": f"'{single.address.lower()}'"})
    commented = ansible(host, 1, env=QUIET)
    commented = replace(commented, env=QUIET | {"NODE_PUBLIC_KEY": f"{commented.address}   # mine"})
    return quoted, single, commented, systemd(host, env=QUIET)


def shared_key_net() -> Net:
    """An RPC address with a key in it, new in each run: the one that the installer ships is somebody's and is not repeated here."""
    return replace(NET, rpc_url=f"https://rpc.example/arbitrum_sepolia/{secrets.token_hex(32)}")


def faults() -> tuple[Fault, ...]:
    """One host each; `well` has none."""
    no_address = ansible("no-address", 1, env=QUIET | {"NODE_PUBLIC_KEY": ""}, address=address_of("unused"))
    return (
        Fault(name="well", nodes=(systemd("well", env=QUIET), _router_beside("well"))),
        Fault(name="shared-rpc", nodes=(ansible("shared-rpc", 1, env=QUIET), ansible("shared-rpc", 2, env=QUIET)), net=shared_key_net()),
        Fault(name="one-wallet", nodes=_one_wallet("one-wallet")),
        Fault(name="loopback", nodes=(_router("loopback", ROUTER_EXTERNAL_IP='"127.0.0.1"'),)),
        Fault(name="chain-id", nodes=(ansible("chain-id", 1, env=QUIET | {"IS_L3": "1"}),), net=replace(NET, chain_id="12515")),
        Fault(name="quotes", nodes=_quotes("quotes")),
        Fault(name="router-lines", nodes=(_router("router-lines", API_ENABLE="", API_KEY="", API_PORT=""),)),
        Fault(name="timer", nodes=(systemd("timer", env=QUIET),), after=_restart_timer),
        Fault(name="pointer", nodes=(systemd("pointer", env=QUIET),), program=lambda path: lfs_pointer(path).encode()),
        Fault(name="no-address", nodes=(no_address,)),
        Fault(name="stopped", nodes=(ansible("stopped", 1, env=QUIET),), start=False),
        Fault(name="skewed", nodes=(systemd("skewed", env=QUIET),), after=lambda host: host.skew_clock(7200)),
    )


def _router_beside(host: str) -> Node:
    lines = QUIET | ROUTER | ROUTER_COMPLETE | {"API_KEY": secrets.token_hex(16)}
    return salt(host, "router", runs="routerv1", role="router", env=lines)


@contextmanager
def faulty_hosts(programs: Path, wanted: Sequence[Fault]) -> Iterator[tuple[Fleet, dict[str, Fault]]]:
    """One host for each fault, called as the fault."""
    program = compiled(GOOD, programs)
    with hosts(names=[fault.name for fault in wanted]) as fleet:
        with ThreadPoolExecutor(4) as threads:
            done = [threads.submit(_build, fleet[fault.name], fault, program) for fault in wanted]
        for each in done:
            each.result()
        yield fleet, {fault.name: fault for fault in wanted}


def _build(host: SystemHost, fault: Fault, program: Path) -> None:
    install(host, fault.nodes, fault.program(program), fault.net, start=fault.start)
    fault.after(host)
