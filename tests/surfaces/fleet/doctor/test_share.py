"""A report for strangers: what is wrong is told, and nothing of whose it is, whatever the names are."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.surfaces.fleet.ailing import HOST_FAULTS, NODE_FAULTS
from tests.surfaces.fleet.stage import ADDRESS, NOW, RUNTIME, fleet, host_logs, installed, network_replies

from cortops.deploy.redact import Redactor
from cortops.environment.cortensord import CortensordNode
from cortops.surfaces.fleet.doctor import examined
from cortops.surfaces.fleet.doctor.ailments import NetworkSeen, Seen, findings
from cortops.surfaces.fleet.doctor.share import Shared, as_block, share, short_wallet
from cortops.surfaces.fleet.found.discover import Timer
from cortops.surfaces.fleet.found.match import Missing
from cortops.surfaces.nodes.log_facts import LogFacts
from cortops.words.question import NoAnswer, Silence

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes


def shared(seen: Seen, *secrets: str) -> Shared:
    found = findings(examined.ailments(seen), network_replies(), NOW)
    return share(seen, found, version="0.1.0", networks=("testnet-0",), redact=Redactor(secrets).redact)


def test_a_well_fleet_in_one_block() -> None:
    assert as_block(shared(fleet())).splitlines() == [
        "```",
        "cortops 0.1.0 · a network of its own (chain 31338) · 2027-01-15 08:00 UTC",
        f"0 bad, 0 not known, {shared(fleet()).counts['ok']} well",
        "h1: Debian x86_64, 1 node",
        "h1 miner 0xa1a1..a1: minerv4 (systemd), runs 3f2a9c81",
        "binaries 3f2a9c81 on 1",
        "```",
    ]


def test_a_public_network_is_named() -> None:
    seen = fleet(network=NetworkSeen(name="testnet-0", chain_id=31338, runtime=RUNTIME, urls=("https://rpc.example",)))
    assert shared(seen).network == "testnet-0"


@pytest.mark.parametrize("fault", [*HOST_FAULTS, *NODE_FAULTS])
def test_what_is_wrong_is_told(fault: str) -> None:
    if fault in HOST_FAULTS:
        seen, check = fleet(**HOST_FAULTS[fault][0]), HOST_FAULTS[fault][1]
    else:
        node, more, check, *_ = NODE_FAULTS[fault]
        seen = fleet(installed(**node), **more)
    told = shared(seen)
    assert check in {name for _, name, outcome, _ in told.findings if outcome == "bad"} and told.left_out == 0
    assert not any(len(text) > 160 or "h1.lab" in text or ADDRESS in text or "/home/" in text for *_, text in told.findings)


def test_many_nodes_are_counted() -> None:
    nodes = [installed(env_file=f"/e{n}", unit=f"cortensor-{n}.service", address=f"0x{n:040x}", log=f"/l{n}") for n in range(60)]
    block = as_block(shared(fleet(*nodes)))
    assert "and 20 more nodes" in block and len(block.splitlines()) < 120


@dataclass(frozen=True)
class Private:
    """What must not be seen."""

    host: str
    domain: str
    user: str
    ip: str
    ip6: str
    address: str
    key: str
    word: str

    def values(self) -> tuple[str, ...]:
        whole = (f"{self.host}.{self.domain}", self.host, self.domain, self.user, self.ip, self.ip6, self.address, self.key, self.word)
        return (*whole, self.address[2:], f"/home/{self.user}")


_name = st.text(string.ascii_lowercase, min_size=6, max_size=10).map(lambda text: f"zq{text}x")
_hex = st.text("0123456789abcdef", min_size=40, max_size=40)
privates = st.builds(
    Private,
    host=_name,
    domain=_name.map(lambda text: f"{text}.org"),
    user=_name,
    ip=st.builds("198.51.{}.{}".format, st.integers(1, 255), st.integers(1, 255)),
    ip6=st.builds("2001:db8:{:x}::{:x}".format, st.integers(256, 65_535), st.integers(256, 65_535)),
    address=_hex.map(lambda text: f"0x{text}"),
    key=st.text(string.ascii_letters + string.digits, min_size=24, max_size=32).map(lambda text: f"{text}7"),
    word=_name,
)


def ailing(mine: Private, fault: str) -> Seen:
    """A fleet of these names, with a fault, and with everything else in which a name can stand."""
    place = f"{mine.host}.{mine.domain}"
    node: dict[str, Any] = dict(NODE_FAULTS[fault][0]) if fault in NODE_FAULTS else {}
    more = dict(NODE_FAULTS[fault][1]) if fault in NODE_FAULTS else dict(HOST_FAULTS[fault][0])
    env = {**dict(node.get("env", installed().env)), "HOST": f"https://{place}#sha256:{'1' * 16}", "ROUTER_EXTERNAL_DOMAIN": mine.ip}
    fields = {
        "host": mine.host,
        "user": mine.user,
        "address": mine.address,
        "env_file": f"/home/{mine.user}/.cortensor/.env-{mine.word}",
        "log": f"/srv/{mine.word}/cortensord.log",
        "binary": f"/home/{mine.user}/bin/cortensord",
        "instance": mine.word,
        "notes": (f"the process of {mine.user} on {place} was started by {mine.word}",),
    }
    one = installed(**{**fields, **node, "env": env, **({"unit": f"{mine.word}.service"} if node.get("unit") != "" else {})})
    log = {
        "rpc_hosts": {"c" * 64: f"https://{mine.ip}:8545"},
        "facts": LogFacts(pack="x", lines=1, unknown=0, version_mismatch=f"version of {mine.user}@{mine.ip} mismatch"),
    }
    seen = fleet(one, **{**more, "logs": more.get("logs") or host_logs(log=log, probe={"error": "refused"})})
    return called(mine, seen)


def called(mine: Private, seen: Seen) -> Seen:
    """The same fleet with these names in every place that is not of a node."""
    place = f"{mine.host}.{mine.domain}"
    timer = Timer(
        name=f"{mine.word}.timer", schedule="04:00", enabled=True, restarts=(f"{mine.word}.service",), missing=(f"{mine.word}.service",)
    )
    host = seen.hosts[0]
    assert host.found is not None and host.look is not None
    host = replace(
        host,
        name=mine.host,
        way=f"ssh -p 2222 {mine.user}@{place}",
        word=f"{mine.user}@{place}:2222",
        found=replace(host.found, host=mine.host, hostname=place, user=mine.user, timers=(timer,), unseen=(f"/home/{mine.user}",)),
        look=replace(host.look, name=mine.host, failed_units=(f"{mine.word}.service",)),
    )
    silent = replace(
        host, name=f"{mine.host}-2", found=None, look=None, why=f"{mine.ip} refused {mine.user} ({place}, [{mine.ip6}]:22, key {mine.key})"
    )
    named = replace(seen.nodes[0], host=host, named=replace(seen.nodes[0].named, name=f"{mine.host}-{mine.word}", way=host.way))
    declared = CortensordNode(
        program="cortensord",
        role="miner",
        runs="minerv4",
        host="h9",
        shape="salt",
        env_file=f"/opt/{mine.word}/.env",
        log="/l",
        binary="/b",
    )
    flags = tuple(
        replace(
            flag, host=mine.host, nodes=(named.name,), text=f"{flag.text} ({named.name}, {mine.user}@{mine.ip}, https://{place}/{mine.key})"
        )
        for flag in seen.flags
    )
    return replace(
        seen,
        name=mine.word,
        hosts=(host, silent),
        nodes=(named,),
        gone={f"{mine.word}-9": (declared, Missing("unseen", f"we may not look into /home/{mine.user} on {mine.ip6}"))},
        flags=flags,
        network=NetworkSeen(
            name=mine.word, chain_id=31338, runtime=RUNTIME, urls=(f"https://{place}/v1/{mine.key}", f"http://{mine.ip}:8545")
        ),
        machine=replace(seen.machine, file=f"/home/{mine.user}/{mine.word}.yaml", keys={f"/home/{mine.user}/.ssh/id_rsa": 0o644}),
    )


@settings(max_examples=150, deadline=None)
@given(privates, st.sampled_from([*HOST_FAULTS, *NODE_FAULTS]))
def test_nothing_private_is_shown_whatever_it_is_called(mine: Private, fault: str) -> None:
    seen = ailing(mine, fault)
    silent = {f"chain-id:{n}": NoAnswer(question="q", at=NOW, elapsed_s=1, silence=Silence.REFUSED, why=f"no {mine.ip}") for n in (0, 1)}
    found = findings(examined.ailments(seen), network_replies() | silent, NOW)
    block = as_block(share(seen, found, version="0.1.0", networks=("testnet-0",), redact=Redactor([mine.key]).redact))
    for value in mine.values():
        assert value.lower() not in block.lower(), f"{value} in\n{block}"
    assert all(value in str(found) for value in (mine.host, mine.user, mine.word)), "they stand in what is not shared"
    assert "bad," in block and len([line for line in block.splitlines() if line.startswith("■")]) >= 4
    assert short_wallet(mine.address) in block or "#1" in block


@given(privates)
def test_what_would_show_through_is_left_out(mine: Private) -> None:
    seen = ailing(mine, "stopped")
    odd = replace(seen.flags[0] if seen.flags else seen.flags, text=f"x{mine.user}y", kind="note") if seen.flags else None
    assert odd is not None
    told = shared(replace(seen, flags=(odd,)))
    assert told.left_out == 1 and mine.user not in as_block(told)
