"""What an installed watch is made of: on its own host the key, on others one line, one program and one list; nothing by chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.fleet_stage import LAB

from cortops.deploy.kinds.authorized_key import line
from cortops.deploy.observing import (
    NO_KEY,
    Watching,
    WatchPlace,
    demand_only_installed,
    known_hosts,
    public_half,
    questions_of,
    resources,
    ssh_config,
)
from cortops.deploy.plan import in_order
from cortops.deploy.runtime import Runtime
from cortops.environment.declared import Environment
from cortops.environment.load import load, load_file
from cortops.targets.observed import Login, sum_of
from cortops.words.errors import BadInput
from cortops.words.resource import AuthorizedKey, File, SecretRef, Service, Tree

PUBLIC = "ssh-ed25519 " + "A" * 68
PLACE = WatchPlace(environment="lab", host="h1", port=8500)
LOGIN = Login(address="h2.lab.example", port=2222, user="me", host_key="ssh-ed25519 BBBB")
MADE = Runtime(sha256="ab" * 32, size=1000, path=Path("/cache/x"))


def lab() -> Environment:
    loaded = load(LAB, "lab.yaml")
    assert isinstance(loaded, Environment)
    return loaded


ENV = lab()
WATCHING = Watching(place=PLACE, public=PUBLIC, logins={"h2": LOGIN}, runtime=MADE, channels=("ops",))


def test_another_host_gets_a_line_that_runs_one_program_and_the_list_of_what_it_may_run() -> None:
    there = [item for item in resources(ENV, WATCHING) if item.place == "h2"]
    (key,) = (item for item in there if isinstance(item, AuthorizedKey))
    assert (key.account, key.public, key.mark) == ("me", PUBLIC, "cortops:watch:lab:h1")
    assert key.command == "sudo -n /var/lib/cortops/lab.observe.h1/observe"
    files = {item.path.rpartition("/")[2]: item for item in there if isinstance(item, File)}
    assert set(files) == {"observe", "list"} and len(there) == 4
    assert set(str(files["list"].content[0]).split()) == {sum_of(question) for question in questions_of(ENV)["h2"]}
    as_root = replace(WATCHING, logins={"h2": replace(LOGIN, user="root")})
    assert "/var/lib/cortops/lab.observe.h1/observe" in {
        item.command for item in resources(ENV, as_root) if isinstance(item, AuthorizedKey)
    }


def test_the_watch_starts_last_from_its_own_folder_and_restarts_on_what_it_reads() -> None:
    every = resources(ENV, WATCHING)
    assert in_order(every)[-1] == every[-1]
    service = every[-1]
    assert isinstance(service, Service) and service.place == "h1" and service.ports == (8500,)
    tree = next(item for item in every if isinstance(item, Tree))
    assert service.argv == (f"{tree.path}/bin/python", "-m", "cortops.cli", "watch", PLACE.file, "--on", "h1", "--port", "8500")
    assert set(service.restart_on) == {item.key for item in every if isinstance(item, File) and item.place == "h1"}
    assert all(item.path.startswith(f"{PLACE.root}/") for item in every if isinstance(item, File) and item.place == "h1")
    channel = next(item for item in every if isinstance(item, File) and item.path == f"{PLACE.channels}/ops")
    assert (channel.content, channel.mode) == ((SecretRef("notify/ops"),), 0o600)


def test_a_key_that_may_act_is_another_one_and_only_where_it_was_wanted() -> None:
    assert not [item for item in resources(ENV, WATCHING) if isinstance(item, AuthorizedKey) and not item.command]
    own = replace(LOGIN, address="h1.lab.example", port=22)
    every = resources(ENV, replace(WATCHING, acting=PUBLIC.replace("A", "B"), own=own))
    acting = [item for item in every if isinstance(item, AuthorizedKey) and not item.command]
    assert [(item.place, item.mark) for item in acting] == [("h2", "cortops:act:lab:h1"), ("h1", "cortops:act:lab:h1")]
    assert {line(item) for item in acting} == {f"restrict {PUBLIC.replace('A', 'B')} cortops:act:lab:h1"}
    config = next(item for item in every if isinstance(item, File) and item.path == f"{PLACE.home}/.ssh/config")
    assert str(config.content[0]).count(f"  IdentityFile {PLACE.acting_key}\n") == 2
    assert in_order(every)[-1] == every[-1]


def test_ssh_there_knows_each_host_by_the_files_name_and_trusts_one_key() -> None:
    assert ssh_config(ENV, WATCHING.logins) == "Host h2.lab.example\n  HostName h2.lab.example\n  Port 2222\n  User me\n"
    assert known_hosts(WATCHING.logins) == "[h2.lab.example]:2222 ssh-ed25519 BBBB\n"


def test_everything_that_is_asked_of_a_host_is_on_its_list() -> None:
    asked = {name: [question.id for question in found] for name, found in questions_of(ENV).items()}
    assert asked == {"h1": ["disk:h1", "running:h1", "logs:h1", "discover:h1"], "h2": ["disk:h2"]}


def test_only_an_ed25519_key_is_taken() -> None:
    assert public_half(f"{PUBLIC} some comment\n") == PUBLIC
    assert public_half("\n") == NO_KEY
    for other in ("ssh-rsa AAAA", f'{PUBLIC[:20]}" x', "restrict ssh-ed25519 AAAA"):
        with pytest.raises(BadInput):
            public_half(other)


def test_an_environment_with_programs_of_ours_is_refused_by_name() -> None:
    demand_only_installed(ENV)
    local = load_file(Path(__file__).resolve().parents[2] / "examples" / "local.yaml")
    assert isinstance(local, Environment)
    with pytest.raises(BadInput, match="runs programs of ours on here"):
        demand_only_installed(local)
