"""What a router is told of the families beside completions."""

from __future__ import annotations

from tests.surfaces.nodes.test_agents import A2A, MCP, X402, declared, told

from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import Kind
from cortops.environment.declared import Environment
from cortops.protocol.settings import RouterSettings

FAMILIES = (
    "families: {delegate: 1, validate: 1, factcheck: {standard: [1]}, judge_schema: true, create: true, "
    "search: {key: {secret: search/key}}, trial: {requests_max: 3, window_s: 60, completion: 1}}"
)
FRONT = (
    "  first.localhost: {on: here, port: 8443, to: pool/smollm2, tls: local-ca}\n"
    "  router.localhost: {on: here, port: 8444, to: pool/smollm2, tls: local-ca, families: [create, delegate, trial]}\n"
)


def env(front: str = "") -> Environment:
    return declared(FAMILIES, front=front)


def test_a_router_is_told_its_families_and_a_plain_one_nothing() -> None:
    values, _ = told(env())
    plain, _ = told(declared())
    assert {key: value for key, value in values.items() if key not in plain} == {
        "ROUTER_DELEGATE_SESSION_ID": "1",
        "ROUTER_VALIDATE_SESSION_ID": "1",
        "ROUTER_FACTCHECK_SESSION_IDS": "1",
        "ROUTER_JUDGE_SCHEMA": "1",
        "ROUTER_CREATE_ENABLE": "1",
        "TAVILY_API_KEY": "<search/key>",
        "X402_ROUTER_NODE_TRIAL_ENABLE": "1",
        "X402_ROUTER_NODE_TRIAL_MAX_REQUESTS": "3",
        "X402_ROUTER_NODE_TRIAL_WINDOW_SECONDS": "60",
        "X402_ROUTER_NODE_TRIAL_COMPLETIONS_SESSION_ID": "1",
    }
    assert all(values[key] == value for key, value in plain.items())
    settings = RouterSettings.from_env(values)
    assert (settings.trial_enabled, settings.factcheck_sessions, settings.judge_schema) == (True, (1,), True)
    assert RouterSettings.from_env(settings.to_env()) == settings


def test_its_proxy_is_whom_it_believes_and_its_public_name_the_one_for_create() -> None:
    values, _ = told(env(FRONT))
    assert values["ROUTER_TRUSTED_PROXIES"] == "127.0.0.1"
    assert RouterSettings.from_env(values).published_url == "https://router.localhost:8444"


def test_its_search_key_is_a_secret_that_is_given() -> None:
    assert [(wanted.name, wanted.kind) for wanted in secrets_of(env()) if wanted.name == "search/key"] == [("search/key", Kind.GIVEN)]


def test_all_that_a_router_offers_fits_together() -> None:
    values, _ = told(declared(FAMILIES, MCP, A2A, X402, front=FRONT.replace("delegate, trial", "delegate, trial, mcp, a2a, x402")))
    assert (values["ROUTER_EXTERNAL_DOMAIN"], values["ROUTER_MCP"], values["ROUTER_CREATE_ENABLE"]) == ("router.localhost", "1", "1")
