"""The reference page of the environment file, written from the models: `python -m cortops.environment.reference > PAGE`."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cortops.environment.agents import X402, A2a, Asset, Facilitator, Mcp, McpSessions, PaidSessions, Prices
from cortops.environment.certificates import Acme, RouteTls
from cortops.environment.cortensord import CortensordNode
from cortops.environment.dns import Dns, Zone
from cortops.environment.families import FamilyRules, PerClient
from cortops.environment.model import NODE_ROLES, Contracts, Engine, Host, Monitor, Network, Session
from cortops.environment.networks import NetworkRecord, known_networks
from cortops.environment.orbit import (
    Assertions,
    BatchPoster,
    Bridge,
    ChainLimits,
    Feed,
    GasToken,
    Parent,
    ParentContracts,
    Sequencer,
)
from cortops.environment.payloads import Bucket, Payloads, PrivateSession
from cortops.environment.portal import Portal
from cortops.environment.release import Artifact, Minimum, ProgramRelease, Release
from cortops.environment.routes import Factcheck, RouterFamilies, Trial, WebSearch
from cortops.environment.rules import ApplyRules, Rules, SecretRules, SecretSource
from cortops.environment.section import Rpc, Secret
from cortops.environment.traffic import Gateway, GatewayModel, GatewayStore, Pool, PoolHealth, Route
from cortops.environment.validation import Validation

_SECTIONS: tuple[tuple[str, tuple[type[BaseModel], ...]], ...] = (
    ("hosts.NAME", (Host,)),
    ("releases.NAME", (Release, Artifact, ProgramRelease)),
    ("releases.minimum", (Minimum,)),
    ("network", (Network, Rpc, Contracts, Session, ChainLimits)),
    ("network.parent", (Parent, ParentContracts, Sequencer, Feed, BatchPoster, Bridge, Assertions, GasToken)),
    ("nodes.NAME", (*NODE_ROLES.values(), Validation, CortensordNode)),
    ("nodes.NAME.families", (RouterFamilies, Factcheck, Trial, WebSearch)),
    ("nodes.NAME.mcp, a2a, x402", (Mcp, McpSessions, A2a, X402, Prices, PaidSessions, Facilitator, Asset)),
    ("pools.NAME", (Pool, PoolHealth)),
    ("gateway", (Gateway, GatewayModel, GatewayStore)),
    ("portal", (Portal,)),
    ("proxy.HOSTNAME", (Route, RouteTls, FamilyRules, PerClient)),
    ("dns", (Dns, Zone)),
    ("acme", (Acme,)),
    ("payloads", (Payloads, PrivateSession, Bucket)),
    ("monitor", (Monitor,)),
    ("rules", (Rules, ApplyRules, SecretRules, SecretSource)),
    ("references", (Engine, Secret)),
)
_DEFAULTS_BY_NODE = {"wallet": "`{secret: NODE/key}`", "api_key": "`{secret: NODE/api-key}`"}
_WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}

_TOP = """# The environment file

One YAML file declares an environment. `examples/local.yaml` is a whole one. This page is written from the code: do not edit it here.

| Key | Means |
|---|---|
| `format` | Always `1`. |
| `environment` | Name of the environment: a to z, 0 to 9 and `-`, at most 31 characters. |
| `owners` | Whom to ask, by `default`, by kind (`router`), or by name (`router-1`); the most exact one wins. |
| `hosts`, `releases`, `network`, `nodes`, `pools`, `gateway`, `portal`, `proxy`, `dns`, `acme`, `payloads`, `monitor`, `rules` | Below. |

Names of hosts, releases, nodes and pools follow the same rule as the environment's.
At most 1 MiB, 32 levels, 50,000 values. Duplicate keys, tags and `<<` are refused. Anchors are followed.

## Ranges

`m[1-12]` as the key of a node or host stands for twelve of them; `m[01-12]` keeps the leading zero.

- `{n}` in its body is the number, `{n+5100}` the number plus 5100: `port: "{n+5100}"`.
- `host: "h[3-9]"` takes the name at the same position, starting over when it runs out.
- A list in the place of one value holds one for each, in their order: `address: ["0x…", "0x…"]`.
- In a list of names, anywhere, a range stands for all of them: `members: ["r[1-2]"]`.
- A range has at most 5,000 names.
"""


_NETWORKS = """
## Known networks

`network: testnet-0` stands for what is public of it; `network: {like: testnet-0, rpc: {url: "https://…"}}` asks by an RPC of your own.
Every fact with its source: `examples/environments/NAME.yaml`. What is not public is written so, and asked for by `cortops validate`.

| Name | What it is | Chain | Runtime contract | RPC | As of |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    sections = "".join(f"\n## {title}\n" + "".join(_table(model) for model in models) for title, models in _SECTIONS)
    return _TOP + sections + _NETWORKS + "".join(_network_row(record) for record in known_networks().values())


def _network_row(record: NetworkRecord) -> str:
    chain = f"{record.chain.text}, id {record.chain_id.text}, gas {record.gas_token.text}"
    return f"| `{record.network}` | {record.about} | {chain} | {record.contracts['runtime'].text} | {record.rpc.text} | {record.as_of} |\n"


def _table(model: type[BaseModel]) -> str:
    fields = sorted(model.model_fields.items(), key=lambda item: item[0] not in ("program", "role"))
    rows = "".join(_row(model, name, info) for name, info in fields)
    role = next((role for role, kind in NODE_ROLES.items() if kind is model), "")
    heading = f"role {role}" if role else "program cortensord" if model is CortensordNode else model.__name__
    return f"\n### {heading}\n\n{(model.__doc__ or '').strip()}\n\n| Key | Value | Default | Means |\n|---|---|---|---|\n{rows}"


def _row(model: type[BaseModel], name: str, info: FieldInfo) -> str:
    if model is Release and name == "every":
        return ""
    required = _DEFAULTS_BY_NODE.get(name) or ("required" if info.is_required() else _default(info))
    about = info.description or ("As Artifact." if model is Release else "The role." if name == "role" else "")
    return f"| `{info.alias or name}` | {_value(info)} | {required} | {about} |\n"


def _default(info: FieldInfo) -> str:
    value = info.default
    if isinstance(value, Secret):
        return f"`{{secret: {value.secret}}}`"
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if value not in (None, "", {}) else "none"


def _value(info: FieldInfo) -> str:
    words = " or ".join(_type_words(info.annotation))
    bounds = {type(item).__name__: item for item in info.metadata}
    low, high = bounds.get("Ge") or bounds.get("Gt"), bounds.get("Le")
    if low is not None and high is not None:
        above = "above " if type(low).__name__ == "Gt" else ""
        words += f", {above}{_bound(low)} to {_bound(high)}"
    return words


def _bound(item: Any) -> str:
    return f"{getattr(item, type(item).__name__.lower()):,}"


def _type_words(annotation: Any) -> Iterator[str]:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        yield from _type_words(args[0])
    elif origin in (typing.Union, types.UnionType):
        for arg in args:
            if arg is not type(None):
                yield from _type_words(arg)
    elif origin is typing.Literal:
        yield from (f"`{str(arg).lower() if isinstance(arg, bool) else arg}`" for arg in args)
    elif origin is Mapping:
        yield f"{' or '.join(_type_words(args[0]))} -> {' or '.join(_type_words(args[1]))}"
    elif origin is tuple:
        yield f"list of {' or '.join(_type_words(args[0]))}"
    else:
        yield _WORDS.get(annotation, annotation.__name__)


if __name__ == "__main__":
    sys.stdout.write(page())
