"""Each thing that may be wrong, put into a fleet that is well: the finding that names it, and the command that cures it."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.surfaces.fleet.ailing import HOST_FAULTS, NODE_FAULTS
from tests.surfaces.fleet.stage import NOW, URLS, fleet, host_logs, installed, network_replies

from cortops.environment.cortensord import CortensordNode
from cortops.surfaces.fleet.doctor import examined
from cortops.surfaces.fleet.doctor.ailments import Ailment, Finding, Group, Seen, findings, ill, told
from cortops.surfaces.fleet.doctor.examine import Offset, Room
from cortops.surfaces.fleet.found.match import Missing
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Verdict
from cortops.words.question import NoAnswer, Reply, Silence


def judged(seen: Seen, replies: dict[str, Reply] | None = None) -> tuple[Finding, ...]:
    return findings(examined.ailments(seen), network_replies() if replies is None else replies, NOW)


def only(found: tuple[Finding, ...], outcome: str = "bad") -> Finding:
    """The one that is not well."""
    (one,) = [finding for finding in found if finding.outcome == outcome]
    return one


def test_a_well_fleet_has_nothing_to_say() -> None:
    found = judged(fleet())
    assert [(str(one.entity), one.check, one.text) for one in found if one.outcome != "ok"] == []
    assert {one.group for one in found} == set(Group) and all(one.text and not one.cure for one in found)
    assert [one.group for one in found] == sorted((one.group for one in found), key=list(Group).index)


@pytest.mark.parametrize("fault", HOST_FAULTS)
def test_a_fault_of_a_host_is_found_alone_with_its_cure(fault: str) -> None:
    fields, check, text, cure = HOST_FAULTS[fault]
    one = only(judged(fleet(**fields)))
    assert (str(one.entity), one.group, one.check) == ("host/h1", Group.HOST, check)
    assert text in one.text and cure in one.cure and one.cure.startswith("ssh me@h1")


@pytest.mark.parametrize("fault", NODE_FAULTS)
def test_a_fault_of_a_node_is_found_alone_with_its_cure(fault: str) -> None:
    node, fields, check, text, cure = NODE_FAULTS[fault]
    found = judged(fleet(installed(**node), **fields))
    one = only(tuple(one for one in found if not (fault == "another runtime" and one.check == "code")))
    assert (one.entity.name, one.check) == ("m1", check)
    assert text in one.text and cure in one.cure


def test_declared_nodes_are_compared_with_what_is_there() -> None:
    seen = fleet()
    declared = CortensordNode(
        program="cortensord",
        role="router",
        runs="routerv1",
        host="h1",
        shape="systemd",
        env_file="/e",
        log="/l",
        binary="/b",
        address="0x" + "9" * 40,
    )
    other = replace(seen, nodes=(replace(seen.nodes[0], declared=declared),))
    assert {one.check: one.text for one in judged(other) if one.outcome == "bad"} == {
        "role": "runs as minerv4, and routerv1 is declared",
        "wallet": "its env file names 0xa1a1…a1a1, and 0x9999…9999 is declared",
    }
    gone = only(judged(replace(seen, gone={"r9": (declared, Missing("gone"))})))
    assert (str(gone.entity), gone.check, gone.cure) == ("router/r9", "there", "cortops discover me@h1")
    unseen = only(judged(replace(seen, gone={"r9": (declared, Missing("unseen", "docker is silent"))})), "inconclusive")
    assert "could not be seen: docker is silent" in unseen.text


def test_what_is_wrong_between_nodes_is_told_once() -> None:
    twins = (installed(), installed(env_file="/e2", unit="cortensor-2.service", log="/var/log/2.log"))
    found = {one.check: one for one in judged(fleet(*twins)) if one.outcome == "bad"}
    assert set(found) == {"wallets", "shared RPC"} and "m1" in found["wallets"].text and "m2" in found["wallets"].text
    other = installed(
        env_file="/e2",
        unit="cortensor-2.service",
        address="0x" + "9" * 40,
        env=installed().env | {"HOST": "https://x.example#sha256:" + "1" * 16},
    )
    mixed = replace(other, running_sha256="8" * 64, binary_sha256="8" * 64)
    versions = only(judged(fleet(installed(), mixed, releases=frozenset())))
    assert (versions.check, str(versions.entity)) == (
        "versions",
        "environment/lab",
    ) and "2 versions: 3f2a9c81 on 1, 88888888 on 1" in versions.text
    servers = [replace(one, env=one.env | {"ENABLE_IPFS_SERVER": "1"}) for one in (installed(), other)]
    assert only(judged(fleet(*servers))).check == "ipfs servers"


@pytest.mark.parametrize(
    ("replies", "entity", "text"),
    [
        (network_replies(chain_ids=(12_515, 31_338)), "rpc/rpc.example", "is of chain 12515, and lab is 31338"),
        (network_replies(ages_s=(2, 90)), "environment/lab", "other.example is 88 s behind rpc.example"),
        (network_replies(code="0x"), "contract/runtime", "no code at 0xb2b2…b2b2 on lab (m1)"),
    ],
)
def test_a_fault_of_the_network_is_found_alone(replies: dict[str, Reply], entity: str, text: str) -> None:
    one = only(judged(fleet(), replies))
    assert (str(one.entity), one.group) == (entity, Group.NETWORK) and text in one.text and one.cure


def test_a_chain_that_stands_still_is_told_of_every_rpc() -> None:
    bad = [one for one in judged(fleet(), network_replies(ages_s=(700, 701))) if one.outcome == "bad"]
    assert [str(one.entity) for one in bad] == ["rpc/rpc.example", "rpc/other.example"] and "stands still" in bad[0].text


def test_an_rpc_that_refuses_is_bad_and_one_that_is_silent_is_unknown_and_no_url_is_told() -> None:
    for silence, outcome in ((Silence.REFUSED, "bad"), (Silence.TIMEOUT, "inconclusive"), (Silence.UNRESOLVED, "inconclusive")):
        silent = {
            name: NoAnswer(question=name, at=NOW, elapsed_s=1, silence=silence, why=f"POST {URLS[0]}") for name in ("chain-id:0", "head:0")
        }
        found = judged(fleet(), network_replies() | silent)
        assert {one.check: one.outcome for one in found if one.outcome != "ok"} == {"chain": outcome, "references": "inconclusive"}
        assert not any("a-key-in-the-path" in str(one) for one in found)


def test_a_host_that_did_not_answer_is_unknown_and_its_nodes_are_not_accused() -> None:
    seen = fleet(host={"found": None, "look": None, "offset": None, "why": "connection timed out"})
    one = only(judged(seen), "inconclusive")
    assert (str(one.entity), one.text, one.cure) == ("host/h1", "did not answer: connection timed out", "ssh me@h1")
    assert all(finding.outcome == "ok" for finding in judged(seen) if finding is not one and finding != one)


def test_what_nobody_could_read_is_unknown_never_red() -> None:
    blind = fleet(
        installed(
            enabled=None,
            restarts=None,
            binary_kind="unreadable",
            binary_sha256="",
            running_sha256="",
            env={},
            env_mode="",
            quoted=frozenset(),
            kept={},
        ),
        look={
            "rooms": (),
            "memory": {},
            "systemd_state": "",
            "synchronized": None,
            "time_program": "",
            "inotify_max": None,
            "tools": frozenset(),
        },
        host={"offset": None},
        node={"log_bytes": None, "log_age_s": None, "rotates": None, "unit": {}, "files_open": None, "words_after_role": ()},
        logs=host_logs(log={"facts": None, "why": "its log cannot be read by this user", "rpcs": (), "rpc_why": "there is no curl"}),
    )
    found = judged(blind, {})
    assert [one.check for one in found if one.outcome == "bad"] == []
    unknown = {one.check for one in found if one.outcome == "inconclusive"}
    assert unknown >= {
        "tools",
        "disk",
        "memory",
        "clock",
        "time sync",
        "units",
        "limits",
        "starts at boot",
        "restarts",
        "binary",
        "grows",
        "rotation",
        "rpc",
        "chain",
    }


def test_our_own_clock_is_suspected_when_hosts_agree_against_it() -> None:
    seen = fleet(host={"offset": Offset(least_s=60, most_s=61)})
    second = replace(seen.hosts[0], name="h2")
    found = [one for one in judged(replace(seen, hosts=(seen.hosts[0], second))) if one.check == "clock"]
    assert [(str(one.entity), one.outcome) for one in found] == [("machine/here", "bad"), ("host/h1", "bad"), ("host/h2", "bad")]
    assert "this machine's clock is 60 s behind theirs" in found[0].text


def test_no_key_of_ours_matters_only_where_no_host_lets_us_in() -> None:
    seen = fleet()
    without = replace(seen, machine=replace(seen.machine, keys={}, agent=False))
    assert all(one.outcome == "ok" for one in judged(without) if one.check == "ssh keys")
    silent = fleet(host={"found": None, "look": None, "offset": None}, machine=without.machine)
    assert [one.cure for one in judged(silent) if one.check == "ssh keys"] == ["ssh-keygen -t ed25519"]


@pytest.mark.parametrize("fault", ["large log", "old copies"])
def test_a_cure_is_a_command_that_a_shell_can_read(fault: str) -> None:
    node, fields, *_ = NODE_FAULTS[fault]
    cure = only(judged(fleet(installed(**node), **fields))).cure
    way, remote = shlex.split(cure)[:2], shlex.split(cure)[2]
    assert way == ["ssh", "me@h1"]
    said = subprocess.run(["sh", "-n", "-c", remote], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    if fault == "large log":
        rule = subprocess.run(["sh", "-c", remote.partition(" | ")[0]], capture_output=True, text=True, check=True).stdout
        assert rule == "/var/log/cortensord.log {\n  daily\n  rotate 7\n  copytruncate\n  compress\n  missingok\n}\n"


def test_a_key_of_ours_that_others_may_read_is_bad() -> None:
    seen = fleet()
    one = only(judged(replace(seen, machine=replace(seen.machine, keys={"/home/me/.ssh/id_rsa": 0o644}))))
    assert (str(one.entity), one.cure) == ("machine/here", "chmod 600 /home/me/.ssh/id_rsa")


def test_a_check_that_breaks_cannot_tell_and_hides_no_other() -> None:
    def breaks(_subject: object) -> Verdict:
        raise LookupError("an odd answer")

    bad = told(Group.HOST, "odd", Entity("host", "h1"), ("q",), breaks, None)
    good = Ailment(
        group=Group.HOST, check=Check(entity=Entity("host", "h1"), name="x", asks=(), judge=lambda _r, _n: ill("red", "cure it"), owner="")
    )
    found = findings((*bad, good), {}, NOW)
    assert [(one.outcome, one.cure) for one in found] == [("inconclusive", ""), ("bad", "cure it")]
    assert "an odd answer" in found[0].text and found[0].evidence == ("q",)


@pytest.mark.parametrize(
    "fields", [*(fields for fields, *_ in HOST_FAULTS.values()), *({"nodes": node} | more for node, more, *_ in NODE_FAULTS.values())]
)
def test_every_red_line_ends_with_a_cure(fields: dict[str, Any]) -> None:
    fields = dict(fields)
    node = fields.pop("nodes", {})
    assert all(one.cure for one in judged(fleet(installed(**node), **fields)) if one.outcome == "bad")


@given(st.builds(dict, free=st.integers(0, 10**6), total=st.integers(0, 10**6), folder=st.just("/")))
def test_room_is_red_only_when_there_is_little(room: dict[str, Any]) -> None:
    found = judged(fleet(look={"rooms": (Room(**room),)}))
    (disk,) = [one for one in found if one.check == "disk"]
    assert (disk.outcome == "bad") == (room["free"] < min(2_048, room["total"] * 0.1))
