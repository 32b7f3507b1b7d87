"""Each trap of operators 2.6 and facts A.1 is flagged with who, what and the next command; what is well is not."""

from __future__ import annotations

import pytest
from tests.surfaces.fleet.nodes_found import ENV, RUNTIME, address, host, node

from cortops.environment.networks import known_networks
from cortops.surfaces.fleet.found.describe import UNNAMED, UNREADABLE
from cortops.surfaces.fleet.found.discover import HostFound, Timer
from cortops.surfaces.fleet.found.flags import SHIPPED_RPC, Flag, flags, verb_name
from cortops.surfaces.fleet.found.installed import Shape
from cortops.surfaces.fleet.found.naming import name_nodes
from cortops.targets.ssh_address import SshAddress

ROUTER_ENV = {**ENV, "API_ENABLE": "1", "API_PORT": "5010", "ROUTER_EXTERNAL_IP": "198.51.100.7"}
ROUTER_KEPT = {"NODE_PRIVATE_KEY": "set", "API_KEY": "set"}


def told(*hosts: HostFound) -> list[Flag]:
    nodes = [one for each in hosts for one in each.nodes]
    return list(flags(hosts, name_nodes(nodes, {}), {"h1": "ssh me@h1", "h2": "ssh h2", "here": ""}, known_networks()))


def only(*hosts: HostFound) -> Flag:
    (flag,) = told(*hosts)
    return flag


def test_a_well_fleet_has_no_flag() -> None:
    router = node(3, role="router", runs="routerv1", env=ROUTER_ENV, kept=ROUTER_KEPT)
    assert told(host(node(1), node(2), router), host(node(4, host="h2"))) == []


def test_the_shipped_rpc_address_is_known_by_its_hash() -> None:
    env = {**ENV, "HOST": f"https://rpc.ankr.com#sha256:{sorted(SHIPPED_RPC)[0]}"}
    flag = only(host(node(1, env=env)))
    assert flag.kind == "rpc-shipped" and "h1-m1: the RPC address that the installer ships to everybody" in flag.text
    assert flag.next == "ssh -t me@h1 sudoedit /home/deploy/.cortensor/.env-1"


def test_one_rpc_address_for_many() -> None:
    flag = only(host(*(node(number, env=ENV) for number in range(1, 6))), host(node(9, host="h2", env=ENV)))
    assert flag.kind == "rpc-shared" and flag.host == ""
    assert (
        flag.text
        == "h1-m1, h1-m2, h1-m3, h1-m4 and 2 more: 6 nodes on 2 hosts share one RPC address (https://rpc.example): one limit, one failure"
    )
    assert "ENABLE_MULTIPLE_RPC_HOST=1" in flag.next


@pytest.mark.parametrize("rpc", ["http://127.0.0.1:10001", "http://10.0.0.5:8545", "http://localhost:8545"])
def test_a_chain_node_of_ones_own_may_be_shared(rpc: str) -> None:
    env = {**ENV, "HOST": f"{rpc}#sha256:0123456789abcdef"}
    assert told(host(node(1, env=env), node(2, env=env))) == []


def test_one_wallet_on_two_hosts_names_both_places_and_stops_the_one_that_rests() -> None:
    flag = only(host(node(1)), host(node(5, host="h2", address=address(1).upper().replace("0X", "0x"), running=False)))
    assert flag.kind == "wallet-twice"
    assert flag.text == (
        "0xa000…0001 is the wallet of h1-m1 (h1 /home/deploy/.cortensor/.env-1) and h2-m5 (h2 /home/deploy/.cortensor/.env-5); "
        "1 of them run"
    )
    assert flag.next == "ssh h2 sudo systemctl disable --now cortensor-5.service"


@pytest.mark.parametrize(
    ("key", "value", "flagged"),
    [
        ("ROUTER_EXTERNAL_IP", "127.0.0.1", True),
        ("ROUTER_EXTERNAL_IP", "192.168.250.221", True),
        ("ROUTER_EXTERNAL_DOMAIN", "localhost", True),
        ("ROUTER_EXTERNAL_DOMAIN", "router.example", False),
        ("ROUTER_EXTERNAL_IP", "198.51.100.7", False),
    ],
)
def test_a_router_that_publishes_an_address_nobody_reaches(key: str, value: str, flagged: bool) -> None:
    env = {**ROUTER_ENV, "ROUTER_EXTERNAL_IP": "", "ROUTER_REST_BIND_IP": "127.0.0.1", key: value}
    found = told(host(node(1, role="router", runs="routerv1", env=env, kept=ROUTER_KEPT)))
    assert [flag.kind for flag in found] == ["loopback-published"] * flagged
    assert all(f"publishes {value} ({key})" in flag.text for flag in found)
    assert told(host(node(1, env=env))) == [], "a miner publishes nothing"


def test_a_chain_id_that_is_not_the_networks() -> None:
    flag = only(host(node(1, env={**ENV, "CHAINID": "12515"})))
    assert (flag.kind, flag.text) == ("chain-id", "h1-m1: CHAINID is 12515, and testnet-0 is 421614")


def test_nodes_of_another_network_than_most() -> None:
    other = {**ENV, "CONTRACT_ADDRESS_RUNTIME": "0x8d67608D0F674F359DE0e420857739ECBDeb6B90", "HOST": ""}
    flag = only(host(node(1), node(2), node(3, env=other)))
    assert flag.text == "h1-m3: of the network devnet-7, and most are of testnet-0; one file holds one network"
    assert flag.next == "cortops discover me@h1 --network devnet-7 --write devnet-7.yaml"


def test_an_address_without_quotes() -> None:
    flag = only(host(node(1, quoted=frozenset()), node(2), node(3, quoted=frozenset())))
    assert flag.kind == "address-unquoted" and flag.nodes == ("h1-m1", "h1-m3")
    assert flag.next.startswith("ssh me@h1 \"sudo sed -i 's/^CONTRACT_ADDRESS_RUNTIME=")
    assert flag.next.endswith('/home/deploy/.cortensor/.env-1 /home/deploy/.cortensor/.env-3"')


def test_router_lines() -> None:
    bare = host(node(1, role="router", runs="routerv1", env={**ENV, "ROUTER_EXTERNAL_IP": "198.51.100.7"}))
    assert (
        only(bare).text
        == "h1-r1: the env file lacks API_ENABLE, API_KEY, API_PORT, which a router needs and the installer's example has not"
    )
    default = host(node(1, role="router", runs="routerv1", env=ROUTER_ENV, kept={**ROUTER_KEPT, "API_KEY": "default"}))
    assert only(default).kind == "default-api-key"
    kept = {**ROUTER_KEPT, "ENCRYPTION_SEED": "placeholder", "ENCRYPTION_ALLOWED_LIST": "placeholder"}
    dummy = only(host(node(1, role="router", runs="routerv1", env=ROUTER_ENV, kept=kept)))
    assert dummy.text == "h1-r1: ENCRYPTION_SEED and ENCRYPTION_ALLOWED_LIST as in the example, so private payloads are not private"


def test_a_pointer_where_the_program_should_be() -> None:
    change = {"binary_kind": "lfs-pointer", "lfs_oid": "9a" * 32, "running_sha256": ""}
    flag = only(host(node(1, **change), node(2, **change)))
    assert (flag.kind, flag.nodes) == ("lfs-pointer", ("h1-m1", "h1-m2"))
    assert "is a Git LFS pointer to 9a9a9a9a9a9a, not the program" in flag.text and "git lfs pull" in flag.next


def test_a_program_that_was_replaced_and_not_restarted() -> None:
    flag = only(host(node(1, running_sha256="3f" * 32), node(2)))
    assert flag.text == "h1-m1: still runs 3f3f3f3f; /usr/local/bin/cortensord was replaced by 9a9a9a9a since"
    assert flag.next == "ssh me@h1 sudo systemctl restart cortensor-1.service"


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({}, "ssh -t me@h1 sudo systemctl edit --full cortensor-1.service"),
        (
            {"shape": Shape.NOHUP, "unit": "", "env_file": "/home/ops/.cortensor/.env"},
            "ssh -t me@h1 vi /home/ops/.cortensor/bin/start-cortensor.sh",
        ),
        ({"shape": Shape.DOCKER, "unit": "cortensor-1"}, "ssh -t me@h1 docker exec -it cortensor-1 vi /home/deploy/.cortensor/run.sh"),
    ],
)
def test_an_old_role_is_changed_where_it_stands(change: dict[str, object], start: str) -> None:
    flag = only(host(node(1, runs="minerv2", **change)))
    assert (flag.text, flag.next) == ("h1-m1: starts as minerv2, an old role; today's is minerv4", start)


def test_the_version_check_is_off() -> None:
    assert only(host(node(1, env={**ENV, "DISABLE_VERSION_CHECK": "True"}))).kind == "version-check-off"
    assert told(host(node(1, env={**ENV, "DISABLE_VERSION_CHECK": "0"}))) == []


def test_a_key_that_everybody_may_read_and_one_that_is_none() -> None:
    assert only(host(node(1, env_mode="644"))).next == "ssh me@h1 sudo chmod 600 /home/deploy/.cortensor/.env-1"
    assert told(host(node(1, env_mode="640"))) == []
    assert only(host(node(1, env_mode="644", kept={"NODE_PRIVATE_KEY": "placeholder"}))).kind == "no-key"


def test_the_restart_timer_and_the_unit_that_it_misses() -> None:
    timer = Timer(
        name="cortensord-restart.timer",
        schedule="*-*-* 04:00:00",
        enabled=True,
        restarts=("cortensord.service",),
        missing=("cortensord.service",),
    )
    flag = only(host(node(1), timers=(timer,)))
    assert flag.text == "h1: cortensord-restart.timer is to restart cortensord.service at *-*-* 04:00:00; there is no such unit"
    assert flag.next == "ssh me@h1 sudo systemctl disable --now cortensord-restart.timer"
    off = Timer(name="x.timer", schedule="daily", enabled=False, restarts=("cortensor.service",), missing=())
    cron = Timer(name="/etc/cron.d/x", schedule="0 5 * * *", enabled=True, restarts=("cortensor.service",), missing=())
    flag = only(host(node(1), timers=(off, cron)))
    assert flag.text == "h1: /etc/cron.d/x restarts cortensor.service at 0 5 * * *, whatever a node does then"
    assert flag.next == "ssh me@h1 sudoedit /etc/cron.d/x"


def test_what_could_not_be_seen_is_said_once_for_a_host() -> None:
    blind = {"env": {}, "kept": {}, "address": "", "env_mode": "", "quoted": frozenset()}
    found = told(
        host(
            node(1, notes=(UNREADABLE,), **blind),
            node(2, notes=(UNREADABLE, UNNAMED), **blind),
            user="me",
            unseen=("/home/ops",),
            docker="silent",
        )
    )
    assert [flag.kind for flag in found] == ["unreadable", "unseen", "docker-silent"]
    assert found[0].text == "h1: 2 env files cannot be read as me, so what they say is not known"
    assert {flag.next for flag in found} == {"cortops discover me@h1 --sudo"}
    assert [flag.kind for flag in told(host(node(1), complete=False, blind=True))] == ["unseen", "cut-off"]


def test_a_clock_that_is_wrong_and_notes() -> None:
    assert only(host(node(1), clock_offset_s=7200.0)).text == "h1: its clock is 7200 s ahead of this machine's"
    assert only(host(node(1), clock_offset_s=-31.0)).text == "h1: its clock is 31 s behind this machine's"
    twice = only(host(node(1, notes=("runs 2 times: pids 5, 6",))))
    assert (twice.kind, twice.next) == ("runs-twice", "ssh me@h1 ps -fC cortensord")
    assert only(host(node(1, notes=("its env file is missing",)))).next == "ssh me@h1 systemctl status cortensor-1.service"
    assert only(host(node(1), notes=("/home/ops/.cortensor/.env belongs to no unit, process or container",))).kind == "note"


def test_on_this_machine_commands_have_no_ssh() -> None:
    flag = only(host(node(1, host="here", env_mode="644")))
    assert flag.next == "sudo chmod 600 /home/deploy/.cortensor/.env-1"
    assert ENV["CONTRACT_ADDRESS_RUNTIME"] == RUNTIME


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ("", ""),
        ("ssh h1", "h1"),
        ("ssh me@h1", "me@h1"),
        ("ssh -p 2222 me@h1", "me@h1:2222"),
        ("ssh -p 2222 me@fd00::1", "me@[fd00::1]:2222"),
        ("ssh fd00::1", "fd00::1"),
    ],
)
def test_a_host_is_named_to_our_verbs_as_they_read_it(way: str, name: str) -> None:
    assert verb_name(way) == name
    assert not name or SshAddress.read(name).command == way
