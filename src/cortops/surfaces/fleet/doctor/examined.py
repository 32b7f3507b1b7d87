"""All that was asked of hosts, put together: which node is which, and every check over it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cortops.environment.cortensord import CortensordNode
from cortops.environment.declared import Environment
from cortops.environment.networks import NetworkRecord
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.fleet.builds import binaries
from cortops.surfaces.fleet.doctor import examine, host_ailments, network_ailments, node_ailments
from cortops.surfaces.fleet.doctor.ailments import Ailment, Group, HostSeen, MachineSeen, NetworkSeen, NodeSeen, Seen
from cortops.surfaces.fleet.found import discover
from cortops.surfaces.fleet.found.discover import HostFound
from cortops.surfaces.fleet.found.flags import Named, flags
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.match import Missing, match
from cortops.surfaces.fleet.found.naming import Identity, identity, name_nodes
from cortops.surfaces.fleet.found.networks import likely, meant, most_meant
from cortops.surfaces.nodes import logs
from cortops.words.question import Answer, Question, Reply, Shell

HOST_TIMEOUT_S = 60.0  # a binary of 127 MB is hashed within
SINCE_S = 86_400.0  # how far back a container's log is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom doctor looks at. env: None without a file.

    ways: host -> how it is reached from here (`ssh -p 22 me@h1`, "" for this machine). asked_as: how our verbs name it (`me@h1:22`).
    """

    name: str
    ways: Mapping[str, str]
    asked_as: Mapping[str, str]
    sudo: frozenset[str]
    env: Environment | None
    machine: MachineSeen
    records: Mapping[str, NetworkRecord]

    @property
    def declared(self) -> Mapping[str, CortensordNode]:
        """The declared nodes of these hosts."""
        installed = self.env.installed if self.env else {}
        return {name: node for name, node in installed.items() if node.host in self.ways}


def first_questions(host: str) -> tuple[Shell, ...]:
    """Of every host: which nodes, and how it stands."""
    found = discover.question(host)
    return (Shell(id=found.id, target=host, script=found.script, timeout_s=HOST_TIMEOUT_S), examine.host_question(host))


def found_on(host: str, replies: Mapping[str, Reply]) -> HostFound | None:
    """What a host said of its nodes; None where it said nothing."""
    reply = replies.get(discover.question_id(host))
    return discover.read(reply.text, host, asked_at=reply.at) if isinstance(reply, Answer) else None


def names_of(subject: Subject, found: Sequence[HostFound]) -> tuple[Mapping[Identity, str], Mapping[str, Missing]]:
    """Found node -> its name, the declared one where it is declared; and declared nodes that were not found."""
    by_host = {host.host: host for host in found}
    known: dict[Identity, str] = {}
    gone: dict[str, Missing] = {}
    for name, node in subject.declared.items():
        if (host := by_host.get(node.host)) is not None:
            same = match(node, host)
            if isinstance(same, Installed):
                known[identity(same)] = name
            else:
                gone[name] = same
    taken = (*subject.env.nodes, *subject.env.installed) if subject.env else ()
    return name_nodes((node for host in found for node in host.nodes), known, taken), gone


def second_questions(host: HostFound, names: Mapping[Identity, str]) -> tuple[Shell, ...]:
    """Of a host that told its nodes: how they stand, what their logs say, and whether their RPCs answer there; and its time."""
    nodes = {names[identity(node)]: node for node in host.nodes}
    places = [logs.LogPlace(node=name, log=node.log, env_file=node.env_file) for name, node in nodes.items() if node.log]
    asked = (logs.question(host.host, places, since_s=SINCE_S),) if places else ()
    return (examine.nodes_question(host.host, nodes), *asked)


def network_of(subject: Subject, found: Sequence[HostFound]) -> NetworkSeen | None:
    """The network of the file; without one the known network that most env files mean."""
    if subject.env is not None:
        network = subject.env.network
        runtime = network.contracts.runtime if network.contracts.runtime.startswith("0x") else ""
        urls = tuple(dict.fromkeys((rpc_url(subject.env), *network.references)))
        return NetworkSeen(name=network.like or subject.env.name, chain_id=network.chain_id, runtime=runtime, urls=urls)
    every = [meant(node.env, subject.records) for host in found for node in host.nodes if node.env]
    most = most_meant(one for one in every if one.network is not None)
    if most is None or most.network is None or not (rpcs := likely(most.network.rpc)):
        return None
    runtime = likely(most.network.contracts["runtime"]) or ""
    return NetworkSeen(name=most.name, chain_id=likely(most.network.chain_id) or 0, runtime=runtime, urls=tuple(rpcs))


def network_questions(seen: Seen) -> tuple[Question, ...]:
    """What is asked of the network from here."""
    if seen.network is None:
        return ()
    return tuple(network_ailments.questions(seen.network, network_ailments.runtimes_of(seen.nodes, seen.network)))


def assemble(subject: Subject, replies: Mapping[str, Reply], now: float) -> Seen:
    """Every answer of the hosts, read."""
    found = [one for host in subject.ways if (one := found_on(host, replies)) is not None]
    names, gone = names_of(subject, found)
    hosts = tuple(_host(subject, name, replies) for name in subject.ways)
    nodes = tuple(node for host in hosts for node in _nodes(subject, host, names, replies, now))
    known = binaries.known_builds(subject.env)
    floor = binaries.floor_of(subject.env) if subject.env else None
    return Seen(
        name=subject.name,
        machine=subject.machine,
        hosts=hosts,
        nodes=nodes,
        gone={name: (subject.declared[name], missing) for name, missing in gone.items()},
        flags=flags(found, names, subject.ways, subject.records),
        network=network_of(subject, found),
        releases=frozenset(known),
        now=now,
        too_old=frozenset(sha256 for sha256, build in known.items() if floor and build.date and build.date < floor.date),
        minimum=floor.text if floor else "",
    )


def ailments(seen: Seen) -> tuple[Ailment, ...]:
    """Every check over what was seen, in the order of the page."""
    order = {group: number for number, group in enumerate(Group)}
    return tuple(sorted(_all(seen), key=lambda ailment: order[ailment.group]))


def _all(seen: Seen) -> Iterator[Ailment]:
    yield from host_ailments.ailments(seen)
    yield from node_ailments.ailments(seen)
    yield from network_ailments.ailments(seen)


def _host(subject: Subject, name: str, replies: Mapping[str, Reply]) -> HostSeen:
    looked = replies.get(examine.host_id(name))
    timed = replies.get(examine.nodes_id(name))
    told = replies.get(discover.question_id(name))
    return HostSeen(
        name=name,
        way=subject.ways[name],
        word=subject.asked_as[name],
        sudo=name in subject.sudo,
        found=found_on(name, replies),
        look=examine.read_host(looked.text) if isinstance(looked, Answer) else None,
        offset=examine.read_offset(timed) if isinstance(timed, Answer) else None,
        why="" if told is None or isinstance(told, Answer) else told.why,
    )


def _nodes(subject: Subject, host: HostSeen, names: Mapping[Identity, str], replies: Mapping[str, Reply], now: float) -> Iterator[NodeSeen]:
    if host.found is None:
        return
    looked, logged = replies.get(examine.nodes_id(host.name)), replies.get(logs.question_id(host.name))
    looks = examine.read_nodes(looked.text) if isinstance(looked, Answer) else {}
    told = logs.read(logged) if isinstance(logged, Answer) else None
    for node in host.found.nodes:
        name = names[identity(node)]
        yield NodeSeen(
            named=Named(name=name, node=node, way=host.way),
            host=host,
            declared=subject.declared.get(name),
            look=looks.get(name),
            logs=told,
            now=now + (host.offset.beyond_s if host.offset else 0.0),
        )
