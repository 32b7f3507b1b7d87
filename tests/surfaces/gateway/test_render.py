"""One configuration and one service for each process; what they share and what each has for itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.surfaces.stage import example, site_of

from cortops.environment.declared import Environment
from cortops.environment.traffic import KeyAllowance
from cortops.protocol.gateway import FIXED, GatewayConfig
from cortops.protocol.limits import KeyLimits
from cortops.surfaces.gateway.render import config, queue_share, render, store
from cortops.words.resource import Directory, File, Reload, Resource, SecretRef, Service

ENV = example()
SITE = site_of(ENV)
HOST = SITE.hosts["here"]


def env_of(processes: int) -> Environment:
    assert ENV.gateway is not None
    return replace(ENV, gateway=ENV.gateway.model_copy(update={"processes": processes}))


def read(resource: Resource) -> GatewayConfig:
    assert isinstance(resource, File)
    text = "".join("a-key" if isinstance(part, SecretRef) else part for part in resource.content)
    return GatewayConfig.from_json(text)


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_each_process_has_a_file_and_a_service(processes: int) -> None:
    resources = list(render(env_of(processes), SITE))
    files = [item for item in resources if isinstance(item, File) and item.path.endswith(".json")]
    services = [item for item in resources if isinstance(item, Service)]
    names = [f"gateway-{number}" for number in range(1, processes + 1)]
    assert [item.path for item in files] == [f"/srv/local/etc/{name}.json" for name in names]
    assert [(item.name, str(item.entity), item.ports) for item in services] == [
        (name, f"gateway/{name}", (8400 + index,)) for index, name in enumerate(names)
    ]
    assert [item.reload for item in services] == [Reload(on=(item.key,)) for item in files]
    assert [item.restart_on for item in services] == [(f"here file:/srv/local/etc/{name}.start",) for name in names]
    assert [item.path for item in resources if isinstance(item, Directory)] == ["/srv/local/data/gateway"]
    assert len({item.log_path for item in services}) == processes


def test_what_each_key_may_take_is_declared() -> None:
    assert ENV.gateway is not None
    gateway = ENV.gateway.model_copy(update={"limits": KeyAllowance(requests_per_min=120)})
    (one, _) = (
        read(item) for item in render(replace(ENV, gateway=gateway), SITE) if isinstance(item, File) and item.path.endswith(".json")
    )
    assert one.key_limits == KeyLimits(requests_per_min=120)


def test_what_they_share_and_what_each_has_for_itself() -> None:
    one, other = (read(item) for item in render(ENV, SITE) if isinstance(item, File) and item.path.endswith(".json"))
    assert (one.name, one.listen.port) == ("gateway-1", 8400) and (other.name, other.listen.port) == ("gateway-2", 8401)
    data = "/srv/local/data/gateway"
    assert (one.store.spool_folder, other.store.spool_folder) == (f"{data}/spool-1", f"{data}/spool-2")
    assert {(found.store.keys_db, found.store.usage_db, found.store.slots_file) for found in (one, other)} == {
        (f"{data}/keys.db", f"{data}/usage.db", f"{data}/slots")
    }
    assert one.pools == other.pools and one.models == other.models and one.limits == other.limits
    assert [(member.name, member.sessions) for member in one.pools["smollm2"].members] == [("router-1", (1,)), ("router-2", (2,))]
    assert ENV.gateway is not None
    assert store(ENV.gateway, HOST.root) == one.store, "what the command line reads"
    assert config(ENV, ENV.gateway, HOST, ENV.gateway.instances()[1]).name == "gateway-2"


def texts(env: Environment, ending: str) -> list[str]:
    files = [item for item in render(env, SITE) if isinstance(item, File) and item.path.endswith(ending)]
    return ["".join(str(part) for part in item.content) for item in files]


def test_only_what_a_process_is_born_with_restarts_it() -> None:
    pools = {name: pool.model_copy(update={"queue_max": 7, "members": pool.members[:1]}) for name, pool in ENV.pools.items()}
    assert ENV.gateway is not None
    other = replace(ENV, pools=pools, gateway=ENV.gateway.model_copy(update={"request_timeout_s": 9}))
    assert texts(other, ".json") != texts(ENV, ".json") and texts(other, ".start") == texts(ENV, ".start")
    moved = replace(ENV, gateway=ENV.gateway.model_copy(update={"port": 9000}))
    assert texts(moved, ".start") != texts(ENV, ".start")
    assert [line.partition(" ")[0] for line in texts(ENV, ".start")[0].splitlines()] == list(FIXED)


@pytest.mark.parametrize(("queue_max", "processes"), [(64, 1), (64, 2), (65, 2), (1, 2), (0, 3), (100_000, 64)])
def test_the_queue_is_shared_out_and_none_of_it_is_lost(queue_max: int, processes: int) -> None:
    shares = [queue_share(queue_max, processes, number) for number in range(1, processes + 1)]
    assert sum(shares) == queue_max and shares[0] >= shares[-1] >= 0


def test_without_a_gateway_there_is_nothing() -> None:
    assert list(render(replace(ENV, gateway=None), SITE)) == []
