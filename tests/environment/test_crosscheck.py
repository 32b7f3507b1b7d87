"""What the case files do not show: silence about what could not be read, and limits."""

from __future__ import annotations

from cortops.environment.crosscheck import CHECKS, FINDINGS_MAX, crosscheck
from cortops.environment.declared import Declared
from cortops.environment.model import Host, Network, OracleNode
from cortops.environment.traffic import Route


def oracle(**changes: object) -> OracleNode:
    return OracleNode.model_validate({"role": "oracle", "host": "here", "port": 5201, "wallet": {"secret": "o/key"}, **changes})


def network(**changes: object) -> Network:
    contracts = {"runtime": "deploy"}
    return Network.model_validate({"chain_id": 1, "rpc": {"url": "https://rpc.lab.example"}, "contracts": contracts, **changes})


def declared(**changes: object) -> Declared:
    values: dict[str, object] = {
        "name": "lab",
        "owners": {"default": "me"},
        "hosts": {"here": Host.model_validate({"local": True})},
        "nodes": {"o": oracle()},
        "network": network(),
        "written": {"hosts": frozenset({"here"}), "nodes": frozenset({"o"})},
    }
    return Declared(**{**values, **changes})  # type: ignore[arg-type]


def found(what: Declared) -> list[tuple[str, str]]:
    return [(".".join(map(str, finding.path)), finding.what) for finding in crosscheck(what)]


def test_nothing_declared_gives_nothing() -> None:
    assert found(Declared()) == []
    assert found(declared()) == []


def test_a_name_whose_entry_could_not_be_read_is_not_unknown() -> None:
    nodes = {"o": oracle(host="h1")}
    assert found(declared(nodes=nodes)) == [("nodes.o.host", "names host h1, which is not declared")]
    assert found(declared(nodes=nodes, written={"hosts": frozenset({"here", "h1"}), "nodes": frozenset({"o"})})) == []
    assert found(declared(nodes=nodes, incomplete=frozenset({"hosts"}))) == []


def test_an_oracle_that_could_not_be_read_is_not_missing() -> None:
    sessions = {"1": {"name": "a", "model": "a", "nodes": ["m"], "routers": ["r"]}}
    both = frozenset({"m", "r"})
    silent = declared(nodes={}, network=network(sessions=sessions), written={"nodes": both | {"o"}, "sessions": frozenset({"1"})})
    assert found(silent) == []


def test_one_check_gives_at_most_so_many_findings() -> None:
    nodes = {f"o{n}": oracle(host=f"h{n}", port=n + 1, wallet={"secret": f"o{n}/key"}) for n in range(FINDINGS_MAX + 50)}
    written = {"hosts": frozenset({"here"}), "nodes": frozenset(nodes)}
    assert len(found(declared(nodes=nodes, written=written))) == FINDINGS_MAX


def test_hostnames_of_one_proxy_share_its_port_and_nobody_else_does() -> None:
    route = Route.model_validate({"on": "here", "port": 5201, "to": "gateway", "tls": "local-ca"})
    proxy = {"a.lab.example": route, "b.lab.example": route}
    clashes = [path for path, what in found(declared(proxy=proxy, incomplete=frozenset({"gateway"}))) if "also the port" in what]
    assert clashes == ["proxy.a.lab.example.port", "proxy.b.lab.example.port"]  # both with the oracle
    alone = declared(proxy=proxy, nodes={}, incomplete=frozenset({"gateway"}))
    assert found(alone) == []


def test_each_check_says_what_it_is_for() -> None:
    assert [check.__name__ for check in CHECKS if not check.__doc__] == []
