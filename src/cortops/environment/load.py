"""Text of an environment file -> Environment, or every reason why it is none.

Stages: YAML, ranges, sections, cross-checks. Each works on what the one before could read, so that one run names all mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cortops.environment import document, expand
from cortops.environment.certificates import Acme
from cortops.environment.cortensord import CortensordNode
from cortops.environment.crosscheck import crosscheck
from cortops.environment.declared import Declared, Environment, Places
from cortops.environment.dns import Dns
from cortops.environment.document import Value
from cortops.environment.explain import explain
from cortops.environment.foreign import FOREIGN_ROLES
from cortops.environment.model import FORMAT, NODE_ROLES, Host, Monitor, Network, Node, Session
from cortops.environment.payloads import Payloads
from cortops.environment.portal import Portal
from cortops.environment.reason import (
    REASONS_PER_PLACE_MAX,
    Finding,
    Invalid,
    Path,
    Reason,
    did_you_mean,
    list_of,
    nearest,
    path_text,
    quoted,
)
from cortops.environment.release import MINIMUM, Minimum, ProgramRelease, Release, is_program
from cortops.environment.rules import Rules
from cortops.environment.traffic import Gateway, Pool, Route
from cortops.words.errors import BadInput

SECTIONS = (
    "format",
    "environment",
    "owners",
    "hosts",
    "releases",
    "network",
    "nodes",
    "pools",
    "gateway",
    "portal",
    "proxy",
    "dns",
    "acme",
    "payloads",
    "monitor",
    "rules",
)
REQUIRED: Mapping[str, str] = {
    "format": f"Begin with: format: {FORMAT}",
    "environment": "Add its name, for example: environment: lab",
    "hosts": "Add hosts: {here: {local: true}}",
    "network": "Add a known one, for example network: testnet-0, or a section: chain_id, rpc and contracts.",
    "nodes": "Add the section nodes.",
}

S = TypeVar("S", bound=BaseModel)


def load(text: str, filename: str) -> Environment | Invalid:
    """Text -> Environment, or Invalid with all reasons in the order of the file; no exception for any text. `filename` is only cited."""
    read = document.read(text)
    expanded = expand.expand(read.tree)
    places = Places(read.places, expanded.origins)
    findings = [*read.findings, *expanded.findings]
    if read.complete and expanded.complete:
        sections = _Sections(expanded.tree, findings)
        declared = sections.declared(places)
        findings += sections.findings
        findings += crosscheck(declared)
        if not findings:
            return _environment(declared, filename, text)
    return Invalid(filename, _reasons(findings, places))


def load_file(path: FilePath) -> Environment | Invalid:
    """The environment file at `path`. BadInput where it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(document.SIZE_MAX_BYTES + 1)
    except OSError as error:
        why = error.strerror or str(error)
        raise BadInput(
            f"cannot read {path}", where=str(path), why=why, next="name an environment file, for example examples/local.yaml"
        ) from error
    return load(data.decode("utf-8", "surrogateescape"), str(path))


def _environment(declared: Declared, filename: str, text: str) -> Environment:
    if declared.network is None:
        raise AssertionError("a file without findings has a network")
    return Environment(
        name=declared.name,
        file=filename,
        owners=declared.owners,
        hosts=declared.hosts,
        releases=declared.releases,
        programs=declared.programs,
        minimum=declared.minimum,
        network=declared.network,
        nodes=declared.nodes,
        installed=declared.installed,
        pools=declared.pools,
        gateway=declared.gateway,
        portal=declared.portal,
        payloads=declared.payloads,
        proxy=declared.proxy,
        dns=declared.dns,
        acme=declared.acme,
        monitor=declared.monitor,
        rules=declared.rules,
        text=text,
        places=declared.places,
    )


def _reasons(findings: Iterable[Finding], places: Places) -> tuple[Reason, ...]:
    """Findings with their places, sorted; of many at one place, which is a mistake in a range, the first few."""
    at_place: dict[tuple[int, int], dict[tuple[str, str], Reason]] = {}
    for finding in findings:
        line, column = finding.at or places.find(finding.path)
        same = at_place.setdefault((line, column), {})
        if len(same) < REASONS_PER_PLACE_MAX:
            reason = Reason(line, column, path_text(finding.path), finding.what, finding.instead)
            same.setdefault((finding.what, finding.instead), reason)
    return tuple(reason for place in sorted(at_place) for reason in at_place[place].values())


class _Sections:
    """The tree -> sections, entry by entry, so that one wrong entry leaves the others readable."""

    def __init__(self, tree: Mapping[str, Value], before: Iterable[Finding]) -> None:
        self._tree = tree
        self.findings: list[Finding] = []
        # A section in which a key was refused before may lack a name.
        self._incomplete = {str(finding.path[0]) for finding in before if 1 <= len(finding.path) <= 2}

    def declared(self, places: Places) -> Declared:
        self._top()
        hosts = self._entries("hosts", Host)
        releases, programs, minimum = self._releases()
        nodes, installed = self._nodes()
        pools = self._entries("pools", Pool)
        proxy = self._entries("proxy", Route)
        name = self._tree.get("environment")
        return Declared(
            name=name if isinstance(name, str) else "",
            owners=self._owners(),
            hosts=hosts,
            releases=releases,
            programs=programs,
            minimum=minimum,
            network=self._network(),
            nodes=nodes,
            installed=installed,
            pools=pools,
            gateway=self._block("gateway", Gateway),
            portal=self._block("portal", Portal),
            payloads=self._block("payloads", Payloads),
            proxy=proxy,
            dns=self._block("dns", Dns),
            acme=self._block("acme", Acme),
            monitor=self._block("monitor", Monitor),
            rules=self._block("rules", Rules) or Rules(),
            written={
                **{section: frozenset(self._bodies(section)) for section in ("hosts", "nodes", "pools", "proxy")},
                "releases": frozenset(self._bodies("releases")) - {MINIMUM},
                "sessions": frozenset(self._sessions()),
            },
            incomplete=frozenset(self._incomplete),
            places=places,
        )

    def _top(self) -> None:
        for key in self._tree:
            if key not in SECTIONS:
                self._refuse(
                    (key,), "is not a section known here", did_you_mean(key, SECTIONS, otherwise=f"Known here: {list_of(SECTIONS)}.")
                )
                self._incomplete.add(nearest(key, SECTIONS))  # its names stand in the file, under another word
        for key, instead in REQUIRED.items():
            if key not in self._tree and key not in self._incomplete:
                self._refuse((key,), "is missing", instead)
        declared_format = self._tree.get("format", str(FORMAT))
        if declared_format != str(FORMAT):
            self._refuse(("format",), f"is {quoted(declared_format)}", f"This cortops reads format {FORMAT}.")
        if not isinstance(self._tree.get("environment", ""), str):
            self._refuse(("environment",), f"is {quoted(self._tree['environment'])}, not a name", "Write for example: environment: lab")

    def _bodies(self, section: str) -> dict[str, Value]:
        body = self._tree.get(section, {})
        return body if isinstance(body, dict) else {}

    def _entries(self, section: str, model: type[S]) -> dict[str, S]:
        self._is_block(section)
        read = {name: self._read(model, body, (section, name)) for name, body in self._bodies(section).items()}
        return {name: value for name, value in read.items() if value is not None}

    def _releases(self) -> tuple[dict[str, Release], dict[str, ProgramRelease], Minimum | None]:
        """Files of packages, builds of programs (they say so by `program`), and the oldest build that nodes may run."""
        self._is_block("releases")
        releases: dict[str, Release] = {}
        programs: dict[str, ProgramRelease] = {}
        for name, body in self._bodies("releases").items():
            if name == MINIMUM:
                continue
            if isinstance(body, dict) and is_program(body):
                if (program := self._read(ProgramRelease, body, ("releases", name))) is not None:
                    programs[name] = program
            elif (release := self._read(Release, body, ("releases", name))) is not None:
                releases[name] = release
        least = self._bodies("releases").get(MINIMUM, {})
        minimum = self._read(Minimum, least, ("releases", MINIMUM)) if MINIMUM in self._bodies("releases") else None
        return releases, programs, minimum

    def _block(self, section: str, model: type[S]) -> S | None:
        if section not in self._tree:
            return None
        value = self._read(model, self._tree[section], (section,))
        if value is None:
            self._incomplete.add(section)
        return value

    def _sessions(self) -> dict[str, Value]:
        sessions = self._bodies("network").get("sessions", {})
        return sessions if isinstance(sessions, dict) else {}

    def _network(self) -> Network | None:
        """The network, a known one written out, with those of its sessions that can be read."""
        if "network" not in self._tree:
            return None
        body = self._tree["network"]
        if isinstance(body, str) or (isinstance(body, dict) and "like" in body):
            from cortops.environment.networks import write_out  # its models take a while, and most files need none

            body, findings = write_out(body)
            self.findings += findings
            if findings:
                return None
        sessions = self._sessions()
        right = {
            sid: session for sid, session in sessions.items() if self._read(Session, session, ("network", "sessions", sid)) is not None
        }
        if isinstance(body, dict) and len(right) != len(sessions):
            body = {**body, "sessions": right}
        return self._read(Network, body, ("network",))

    def _owners(self) -> dict[str, str]:
        self._is_block("owners")
        for name, owner in self._bodies("owners").items():
            if not isinstance(owner, str) or not owner:
                self._refuse(("owners", name), f"is {quoted(owner)}, not a contact", "Write whom to ask, for example: you@example")
                self._incomplete.add("owners")
        return {name: owner for name, owner in self._bodies("owners").items() if isinstance(owner, str)}

    def _nodes(self) -> tuple[dict[str, Node], dict[str, CortensordNode]]:
        """Those that run our programs, and those that run cortensord: they say so by `program`."""
        self._is_block("nodes")
        nodes: dict[str, Node] = {}
        installed: dict[str, CortensordNode] = {}
        for name, body in self._bodies("nodes").items():
            if not isinstance(body, dict):
                self._refuse(
                    ("nodes", name), f"is {quoted(body)}, not a block of keys", "Write for example: {role: oracle, host: here, port: 5201}"
                )
            elif "program" in body and body.get("role") not in FOREIGN_ROLES:
                found = self._read(CortensordNode, body, ("nodes", name))
                if found is not None:
                    installed[name] = found
            elif (model := self._role(name, body)) is not None:
                node = self._read(model, _with_secrets(name, str(body["role"]), body), ("nodes", name))
                if node is not None:
                    nodes[name] = node
        return nodes, installed

    def _role(self, name: str, body: dict[str, Value]) -> type[Node] | None:
        """The model of a node's role, None where it names none."""
        role, otherwise = body.get("role"), f"Write one of: {list_of(NODE_ROLES)}."
        if not isinstance(role, str):
            self._refuse(("nodes", name, "role"), f"is {quoted(role)}, not a role" if "role" in body else "is missing", otherwise)
        elif role not in NODE_ROLES:
            self._refuse(("nodes", name, "role"), f"is {quoted(role)}", did_you_mean(role, list(NODE_ROLES), otherwise=otherwise))
        else:
            return NODE_ROLES[role]
        return None

    def _read(self, model: type[S], body: Any, path: Path) -> S | None:
        try:
            return model.model_validate(body)
        except ValidationError as error:
            self.findings += explain(error, model, body, path)
            return None

    def _is_block(self, section: str) -> None:
        value = self._tree.get(section, {})
        if not isinstance(value, dict):
            self._refuse((section,), f"is {quoted(value)}, not a block of names", "Write one name a line below it, or remove it.")
            self._incomplete.add(section)

    def _refuse(self, path: Path, what: str, instead: str) -> None:
        self.findings.append(Finding(path, what, instead))


def _with_secrets(name: str, role: str, body: dict[str, Value]) -> dict[str, Value]:
    """A node's body with the default names of its secrets."""
    defaults: dict[str, Value] = {}
    if role in ("router", "miner", "oracle", "validator", "pool-oracle", "batch-poster", "staker"):
        defaults["wallet"] = {"secret": f"{name}/key"}
    if role == "router":
        defaults["api_key"] = {"secret": f"{name}/api-key"}
    return {**defaults, **body}
