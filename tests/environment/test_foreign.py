"""Nodes that run programs of others: what may be written, what is refused, and what depends on what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cortops.environment.declared import Environment
from cortops.environment.foreign import FOREIGN_ROLES, DatabaseNode, RpcRelayNode
from cortops.environment.graph import depends_on
from cortops.environment.load import load
from cortops.environment.model import NODE_ROLES
from cortops.environment.reason import Invalid

HEAD = """format: 1
environment: lab
owners: {default: ops@lab.example}
hosts: {here: {local: true}}
network: testnet-0
nodes:
"""
DATABASE = "  db-1: {role: database, host: here, port: 5432, program: /usr/bin/postgres}\n"
STORE = "  store-1: {role: object-store, host: here, port: 9000, program: /usr/bin/minio, depends_on: [db-1]}\n"

Load = Callable[[str], Environment]


def told(nodes: str) -> list[str]:
    result = load(HEAD + nodes, "lab.yaml")
    return [f"{reason.path} {reason.what}" for reason in result.reasons] if isinstance(result, Invalid) else []


def test_every_role_of_others_is_a_role() -> None:
    assert list(FOREIGN_ROLES) == ["database", "object-store", "rpc-relay", "ipfs"]
    assert all(
        NODE_ROLES[role] is model and model.model_fields["role"].annotation.__args__ == (role,) for role, model in FOREIGN_ROLES.items()
    )


def test_a_database_with_all_that_it_may_have(loaded: Load) -> None:
    env = loaded(
        HEAD
        + """  db-[1-2]:
    {role: database, host: here, port: "{n+5430}", program: /usr/bin/postgres, user: postgres, data: "/var/lib/db-{n}",
     first_start: [/usr/bin/initdb, -D, "{data}", "--pwfile={files}/password"], arguments: [-D, "{data}", -p, "{port}", -h, "{address}"],
     secrets: {DB_PASSWORD: {secret: "db-{n}/password"}}, env: {TZ: UTC}, files: {password: "{DB_PASSWORD}", x.conf: "a { b }\\n"}}
"""
    )
    second = env.nodes["db-2"]
    assert isinstance(second, DatabaseNode)
    assert (second.port, second.data, second.secrets["DB_PASSWORD"].secret) == (5432, "/var/lib/db-2", "db-2/password")
    assert (second.stop_signal, second.arguments[1], second.files["x.conf"]) == ("INT", "{data}", "a { b }\n")


def test_a_relay_may_be_the_networks_rpc(loaded: Load) -> None:
    relay = "  relay-1: {role: rpc-relay, host: here, port: 8600, program: /usr/sbin/nginx, depends_on: [db-1]}\n"
    env = loaded(HEAD.replace("network: testnet-0", "network: {like: testnet-0, rpc: relay-1}") + DATABASE + relay)
    assert isinstance(env.nodes["relay-1"], RpcRelayNode)
    graph = {str(entity): [str(need) for need in needs] for entity, needs in depends_on(env).items()}
    assert graph["contract/runtime"] == ["rpc-relay/relay-1"]
    assert graph["rpc-relay/relay-1"] == ["database/db-1", "host/here"]


def test_own_programs_may_depend_on_those_of_others(example_text: str, loaded: Load) -> None:
    text = example_text.replace("router-1: {role: router,", "router-1: {role: router, depends_on: [db-1],").replace(
        "nodes:\n", f"nodes:\n{DATABASE}", 1
    )
    graph = {str(entity): [str(need) for need in needs] for entity, needs in depends_on(loaded(text)).items()}
    assert graph["router/router-1"][0] == "database/db-1"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "names neither a program nor a release"),
        ("program: /bin/x, release: y", "names a program and a release"),
        ("program: /bin/x, user: postgres", "runs as postgres and has no data folder that postgres can enter"),
        ("program: /bin/x, data: /tmp", "takes /tmp as its data folder, which belongs to the system"),
        ("program: /bin/x, data: /var/lib/", "takes /var/lib/ as its data folder, which belongs to the system"),
        ("program: /bin/x, data: /srv/db/../../etc", "takes /srv/db/../../etc as its data folder, which belongs to the system"),
        ('program: /bin/x, arguments: ["{prot}"]', "holds {prot} in arguments, which stands for nothing"),
        ('program: /bin/x, env: {A: "{db-2}"}', "holds {db-2} in env, which stands for nothing"),
        ('program: /bin/x, first_start: ["{A}"], secrets: {A: {secret: a}}', "would show the secret A in first_start"),
        ('program: /bin/x, arguments: ["{A}"], secrets: {A: {secret: a}}', "would show the secret A in arguments"),
        ("program: /bin/x, env: {A: b}, secrets: {A: {secret: a}}", "has A in env and in secrets"),
    ],
)
def test_what_cannot_work_is_refused(more: str, said: str) -> None:
    assert told(f"  db-1: {{role: database, host: here, port: 1{', ' if more else ''}{more}}}\n") == [f"nodes.db-1 {said}"]


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (DATABASE + STORE, []),
        (STORE + DATABASE, []),
        (STORE, ["nodes.store-1.depends_on[0] names db-1, which is not declared"]),
        (DATABASE + STORE.replace("[db-1]", "[db-1, db-1]"), ["nodes.store-1.depends_on[1] names db-1 twice"]),
        (
            DATABASE.replace("}", ", depends_on: [store-1]}") + STORE,
            ["nodes.db-1.depends_on[0] names store-1 (line 8), which does not come before it"],
        ),
        (STORE.replace("db-1", "store-1"), ["nodes.store-1.depends_on[0] names store-1 (line 7), which does not come before it"]),
        (
            DATABASE.replace("}", ", depends_on: [db-2]}") + DATABASE.replace("db-1", "db-2").replace("5432", "1"),
            ["nodes.db-1.depends_on[0] names db-2 (line 8), which does not come before it"],
        ),
        (DATABASE + DATABASE.replace("db-1", "db-2").replace("5432", "1").replace("}", ", depends_on: [db-1]}"), []),
        (
            DATABASE.replace("}", ", data: /srv/db}") + STORE.replace("}", ", data: /srv/db/store}"),
            ["nodes.store-1.data shares a folder with the data of db-1 (line 7)"],
        ),
        (DATABASE.replace("}", ", data: /srv/db}") + STORE.replace("}", ", data: /srv/db2}"), []),
        (DATABASE.replace("program: /usr/bin/postgres", "release: pg"), ["nodes.db-1.release names release pg, which is not declared"]),
    ],
)
def test_dependencies_lead_upwards_and_folders_are_apart(nodes: str, said: list[str]) -> None:
    assert told(nodes) == said


def test_the_guides_file_is_right(loaded: Load) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "roles.md").read_text()
    env = loaded(guide.partition("```yaml\n")[2].partition("```")[0])
    assert [node.role for node in env.nodes.values()] == list(FOREIGN_ROLES)
