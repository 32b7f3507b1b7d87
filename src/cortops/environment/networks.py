"""Known networks: what is public of each, fact by fact with its source, from the records that ship in examples/environments.

`network: testnet-0` in an environment file stands for such a record; what is written beside `like: testnet-0` wins over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from cortops.environment import document
from cortops.environment.cortensord import Address
from cortops.environment.document import Value
from cortops.environment.model import FORMAT, REFERENCES_MAX
from cortops.environment.reason import Finding, did_you_mean, list_of, quoted
from cortops.environment.section import Section, Url, refuse
from cortops.words.errors import BadInput

T = TypeVar("T")
NETWORKS_MAX = 100
_EXAMPLES = "examples/environments"  # below the package in a wheel, beside src in a checkout

Text = Annotated[str, Field(min_length=1, max_length=200)]
WsUrl = Annotated[str, Field(pattern=r"^wss?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=512)]
Hostname = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class Fact(Section, Generic[T]):
    """One fact with its source: what it `is`, what it is `perhaps` (nobody confirmed it), or why it is `unknown`."""

    is_: T | None = Field(default=None, alias="is")
    perhaps: T | None = None
    unknown: Literal["not public"] | None = None
    source: Text

    @model_validator(mode="after")
    def _one(self) -> Fact[T]:
        if sum(value is not None for value in (self.is_, self.perhaps, self.unknown)) != 1:
            raise refuse("says not just one of is, perhaps and unknown", "Keep one.")
        return self

    @property
    def value(self) -> T | None:
        """What it is; None where that is not public or not confirmed."""
        return self.is_

    @property
    def text(self) -> str:
        """For people: `421614`, `perhaps 12515, not confirmed`, `unknown: not public`."""
        if self.unknown is not None:
            return f"unknown: {self.unknown}"
        shown = self.is_ if self.is_ is not None else self.perhaps
        words = ", ".join(map(str, shown)) if isinstance(shown, tuple) else str(shown)
        return words if self.is_ is not None else f"perhaps {words}, not confirmed"


class NetworkRecord(Section):
    """A known network. rpc: the chain's own address first, then those of others; leaderboard: base URL of the web copies of NodeStats.

    contracts, parent_contracts: name as in environment files -> address. as_of: when the sources were read last, YYYY-MM-DD.
    """

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
    network: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    about: Text
    as_of: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    chain_id: Fact[Annotated[int, Field(ge=1, le=2**53)]]
    chain: Fact[Text]
    parent: Fact[Text]
    parent_chain_id: Fact[Annotated[int, Field(ge=1, le=2**53)]] | None = None
    gas_token: Fact[Text]
    rpc: Fact[Annotated[tuple[Url, ...], Field(min_length=1, max_length=REFERENCES_MAX)]]
    explorer: Fact[Url]
    bridge: Fact[Url]
    sequencer: Fact[Url]
    feed: Fact[WsUrl]
    dashboard: Fact[Url]
    leaderboard: Fact[Url]
    routers: Fact[Annotated[tuple[Hostname, ...], Field(min_length=1, max_length=64)]]
    contracts: Mapping[str, Fact[Address]]
    parent_contracts: Mapping[str, Fact[Address]] = {}

    @property
    def runtime(self) -> str | None:
        """The address of its runtime contract; None where that is not public or not confirmed."""
        return self.contracts["runtime"].value

    @model_validator(mode="after")
    def _has_runtime(self) -> NetworkRecord:
        if "runtime" not in self.contracts:
            raise refuse("says nothing of the runtime contract", "Write what it is, or unknown: not public.")
        return self


@cache
def known_networks() -> Mapping[str, NetworkRecord]:
    """Name -> record, sorted by name. BadInput where the installed records cannot be read."""
    folder = _folder()
    records = [read_record(path.read_text("utf-8"), str(path)) for path in sorted(folder.glob("*.yaml"))[:NETWORKS_MAX]]
    return {record.network: record for record in records}


def read_record(text: str, where: str) -> NetworkRecord:
    """Text of one record -> NetworkRecord. BadInput naming `where` otherwise."""
    read = document.read(text)
    why = [f"{'.'.join(map(str, finding.path))} {finding.what}" for finding in read.findings]
    if not why:
        try:
            return NetworkRecord.model_validate(read.tree)
        except ValidationError as error:
            why = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors(include_url=False)]
    raise BadInput(f"{where} is no record of a network", where=where, why="; ".join(why[:5]), next="reinstall cortops")


def write_out(body: Value) -> tuple[Value, list[Finding]]:
    """The section `network` of a file -> the same with what its known network says below what is written; or what is wrong.

    A section of one's own passes as it is. Where the record cannot give what every network needs, that is said with its source.
    """
    name = body.get("like") if isinstance(body, dict) else body
    if not isinstance(name, str):
        return body, []
    records = known_networks()
    if name not in records:
        path = ("network", "like") if isinstance(body, dict) else ("network",)
        known = f"Known here: {list_of(records)}; or a section of your own: chain_id, rpc and contracts."
        return None, [Finding(path, f"is {quoted(name)}, which is no known network", did_you_mean(name, list(records), otherwise=known))]
    written: dict[str, Value] = dict(body) if isinstance(body, dict) else {"like": name}
    return _below(written, records[name])


def _below(written: dict[str, Value], record: NetworkRecord) -> tuple[Value, list[Finding]]:
    missing: list[str] = []
    below: dict[str, Value] = {}
    rpcs = record.rpc.value or ()
    if record.chain_id.value is not None:
        below["chain_id"] = str(record.chain_id.value)
    if rpcs:
        below["rpc"] = {"url": rpcs[0]}
    missing += [key for key in ("chain_id", "rpc") if key not in {**below, **written}]
    rpc = written.get("rpc", below.get("rpc"))
    below["references"] = [url for url in rpcs if not isinstance(rpc, dict) or rpc.get("url") != url]
    for key, part in _orbit(record).items():
        written[key] = _under(part, written.get(key, {}))
    contracts = written.get("contracts", {})
    if isinstance(contracts, dict):
        together = {**_known_contracts(record, str(contracts.get("runtime", ""))), **contracts}
        written["contracts"] = together
        missing += [] if "runtime" in together else ["runtime"]
    return (None, [_cannot(record, missing)]) if missing else ({**below, **written}, [])


def _orbit(record: NetworkRecord) -> dict[str, Value]:
    """What is known of its parent, sequencer, bridge, gas token and explorer. Of a chain that others run: the pages for people only."""
    pages: dict[str, Value] = {}
    if record.bridge.value:
        pages["bridge"] = {"url": record.bridge.value}
    if record.explorer.value:
        pages["explorer"] = record.explorer.value
    if not record.parent_contracts:
        return pages
    parent: dict[str, Value] = {"name": record.parent.value} if record.parent.value else {}
    if record.parent_chain_id is not None and record.parent_chain_id.value is not None:
        parent["chain_id"] = str(record.parent_chain_id.value)
    parent["contracts"] = {name: fact.value for name, fact in record.parent_contracts.items() if fact.value is not None}
    sequencer: dict[str, Value] = {"url": record.sequencer.value} if record.sequencer.value else {}
    if record.feed.value:
        sequencer["feed"] = {"url": record.feed.value}
    token: dict[str, Value] = {"symbol": record.gas_token.value} if record.gas_token.value else {}
    return {**pages, "parent": parent, "sequencer": sequencer, "gas_token": token}


def _under(known: Value, written: Value) -> Value:
    """What is known, below what is written: key by key, however deep."""
    if not isinstance(known, dict) or not isinstance(written, dict):
        return written if written not in ({}, "") else known
    return {**written, **{key: _under(value, written[key]) if key in written else value for key, value in known.items()}}


def _known_contracts(record: NetworkRecord, runtime: str) -> dict[str, Value]:
    """Those that every file takes over; none where the file names another runtime: they would be of another set."""
    if runtime and runtime.lower() != (record.runtime or "").lower():
        return {}
    taken = ((name, record.contracts.get(name)) for name in ("runtime", "cognitive"))
    return {name: fact.value for name, fact in taken if fact is not None and fact.value is not None}


def _cannot(record: NetworkRecord, missing: list[str]) -> Finding:
    facts: dict[str, Fact[Any]] = {"chain_id": record.chain_id, "rpc": record.rpc, "runtime": record.contracts["runtime"]}
    examples = {"chain_id": "chain_id: 1234", "rpc": 'rpc: {url: "https://…"}', "runtime": 'contracts: {runtime: "0x…"}'}
    told = ", ".join(f"its {name} is {facts[name].text.removeprefix('unknown: ')}" for name in missing)
    keys = ", ".join(examples[name] for name in missing)
    sources = f"{_EXAMPLES}/{record.network}.yaml has the sources"
    return Finding(("network",), f"is like {record.network}, and {told}", f"Write {{like: {record.network}, {keys}}}; {sources}.")


def _folder() -> Path:
    package = Path(__file__).parent.parent
    for folder in (package / _EXAMPLES, package.parent.parent / _EXAMPLES):
        if folder.is_dir():
            return folder
    raise BadInput("the records of known networks are not installed", where=str(package / _EXAMPLES), next="reinstall cortops")
