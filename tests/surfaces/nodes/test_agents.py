"""What a router is told of MCP, A2A and paid calls, and that nothing is told where nothing is declared."""

from __future__ import annotations

from typing import Any

from tests.surfaces.stage import EXAMPLE, site_of

from cortops.deploy.secrets_of import secrets_of
from cortops.environment.declared import Environment, port_uses, shift_ports
from cortops.environment.load import load
from cortops.local.there import extras_of
from cortops.protocol import envfile
from cortops.protocol.settings import RouterSettings
from cortops.surfaces.nodes import checks
from cortops.surfaces.nodes.agents import for_agents
from cortops.surfaces.nodes.render import render
from cortops.words.question import Http
from cortops.words.resource import File, SecretRef, Service

MCP = "mcp: {port: 8001, sessions: {default: 1}, timeout_s: 60}"
A2A = 'a2a: {name: Lab, about: "It answers.", session: 1}'
X402 = (
    'x402: {pay_to: "0x000000000000000000000000000000000000dEaD", prices: {default: 0.002, delegate: 0.25}, sessions: {completions: 1}, '
    'facilitator: {url: "https://facilitator.example", key: {secret: facilitator/key}}, '
    'asset: {address: "0x00000000000000000000000000000000000000AA", name: Dollar}}'
)
FRONT = "  agents.localhost: {on: here, port: 8443, to: pool/smollm2, tls: local-ca, families: [info, mcp, a2a, x402]}\n"


def declared(*extra: str, front: str = "") -> Environment:
    """The small example with `extra` in its router, and perhaps a hostname for agents."""
    text, router = EXAMPLE.with_name("small.yaml").read_text(), "sessions: {smollm2: [1]}}"
    assert text.count(router) == 1
    found = load(text.replace(router, ", ".join((router[:-1], *extra)) + "}") + front, "x.yaml")
    assert isinstance(found, Environment), found.text
    return found


def told(env: Environment) -> tuple[dict[str, str], Service]:
    """The router's env file, a secret as its name, and its service."""
    resources: list[Any] = [one for one in render(env, site_of(declared())) if one.entity.name == "router-1"]
    file = next(one for one in resources if isinstance(one, File))
    text = "".join(f"<{part.name}>" if isinstance(part, SecretRef) else part for part in file.content)
    return envfile.parse(text), next(one for one in resources if isinstance(one, Service))


def test_a_router_is_told_all_of_it_by_the_public_names_of_its_keys() -> None:
    values, service = told(declared(MCP, A2A, X402, front=FRONT))
    plain, _ = told(declared())
    assert {key: value for key, value in values.items() if key not in plain} == {
        "ROUTER_EXTERNAL_DOMAIN": "agents.localhost",
        "REVERSE_PROXY_REST_PORT": "8443",
        "ROUTER_REST_SSL": "1",
        "ROUTER_MCP": "1",
        "ROUTER_MCP_DEFAULT_SESSION_ID": "1",
        "ROUTER_MCP_ENFORCE_FIXED_SESSIONS": "1",
        "ROUTER_MCP_REST_TIMEOUT_SECONDS": "60",
        "ROUTER_A2A_ENABLE": "1",
        "ROUTER_A2A_NAME": "Lab",
        "ROUTER_A2A_DESCRIPTION": "It answers.",
        "ROUTER_A2A_SESSION_ID": "1",
        "X402_ROUTER_NODE_ENABLE": "1",
        "X402_ROUTER_NODE_PAY_TO": "0x000000000000000000000000000000000000dEaD",
        "X402_ROUTER_NODE_PRICE_DEFAULT": "0.002",
        "X402_ROUTER_NODE_PRICE_DELEGATE": "0.25",
        "X402_ROUTER_NODE_COMPLETIONS_SESSION_ID": "1",
        "X402_ROUTER_NODE_FACILITATOR_URL": "https://facilitator.example",
        "X402_ROUTER_NODE_FACILITATOR_KEY": "<facilitator/key>",
        "X402_ROUTER_NODE_ASSET": "0x00000000000000000000000000000000000000AA,6,Dollar,2",
    }
    assert service.ports == (5010, 9001, 8001)
    read = RouterSettings.from_env(values)
    assert (read.mcp, read.mcp_port, read.x402_price, read.x402_facilitator_secret) == (True, 8001, "0.002", "<facilitator/key>")


def test_a_router_without_them_is_told_nothing() -> None:
    env = declared()
    node: Any = env.nodes["router-1"]
    assert for_agents(env, "router-1", node, ("127.0.0.1",), str) == {}
    values, service = told(env)
    assert not [key for key in values if "MCP" in key or "A2A" in key or "X402" in key or "EXTERNAL" in key]
    assert service.ports == (5010, 9001)


def test_without_a_hostname_for_agents_no_public_name_is_told() -> None:
    values, _ = told(declared(MCP, front=FRONT.replace(", mcp, a2a, x402", "")))
    assert "ROUTER_EXTERNAL_DOMAIN" not in values and values["ROUTER_MCP"] == "1"


def test_its_port_is_a_port_like_others() -> None:
    env = declared(MCP)
    assert 8001 in [use.port for use in port_uses(env)]
    shifted: Any = shift_ports(env, 1000).nodes["router-1"]
    assert (shifted.port, shifted.mcp.port) == (6010, 9001)


def test_its_host_is_sent_the_libraries_and_asked_for_the_secret() -> None:
    assert "agents" in extras_of(declared(MCP), "here") and "agents" not in extras_of(declared(), "here")
    assert "facilitator/key" in [wanted.name for wanted in secrets_of(declared(X402))]


def test_its_tools_are_watched() -> None:
    env = declared(MCP)
    site = site_of(env)
    (question,) = [question for question in checks.questions(env, site) if question.id == "tools:router-1"]
    assert isinstance(question, Http) and question.url == "http://127.0.0.1:8001/about"
    (check,) = [check for check in checks.checks(env, site) if check.name == "tools"]
    assert (check.entity.name, check.asks) == ("router-1", ("tools:router-1",))
    plain = declared()
    assert not [check for check in checks.checks(plain, site_of(plain)) if check.name == "tools"]
