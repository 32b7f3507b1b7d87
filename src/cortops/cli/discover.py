"""`cortops discover`: which nodes run on which hosts, whatever way they were installed. It only reads."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common
from cortops.cli.discovered import Found, Written, as_json, as_text
from cortops.cli.fleet import LOCAL, fleet, hosts_of
from cortops.cli.output import Progress, joined, show, show_json
from cortops.environment.cortensord import CortensordNode
from cortops.environment.declared import Environment
from cortops.environment.load import load, load_file
from cortops.environment.model import Host
from cortops.environment.networks import NetworkRecord, known_networks
from cortops.environment.reason import Invalid
from cortops.environment.write import Merged, fresh, merge
from cortops.surfaces.fleet.found.discover import HostFound, question, question_id, read
from cortops.surfaces.fleet.found.entries import network_text, node_entries
from cortops.surfaces.fleet.found.flags import flags
from cortops.surfaces.fleet.found.installed import Shape
from cortops.surfaces.fleet.found.naming import Identity, name_nodes, plain
from cortops.surfaces.fleet.found.networks import meant, most_meant
from cortops.targets.ssh_address import SshAddress
from cortops.words.errors import BadInput
from cortops.words.question import Answer, Reply

ATTENTION = 3
HOSTS_MAX = 500
OWN_FILE = Path("cortops.yaml")


def discover(
    *hosts: str,
    write: Path | None = None,
    network: str = "",
    sudo: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Find every cortensord node of these hosts, in all install shapes, and what is wrong with them. Nothing is changed there.

    Exit 3 when a host gave no answer. Keys never leave their host: of an env file only public values are told.

    Parameters
    ----------
    hosts
        USER@HOST, or names of ~/.ssh/config; `local` is this machine. Default: the hosts of ./cortops.yaml.
    write
        The environment file to write or to complete; what it says already stays.
    network
        Write the nodes of this network; default the one that most of them are of.
    sudo
        Become root there by `sudo -n`, so that all env files can be read.
    """
    known = _known(write, named=bool(hosts))
    asked = wanted_hosts(hosts, known, sudo=sudo or common.ask_sudo)
    replies, at = asyncio.run(_ask(asked, common))
    found = found_in(asked, replies, known, at=at, records=known_networks())
    declared = wanted_hosts(hosts, known, sudo=sudo)
    written = write_file(write, found, declared, known, network) if write is not None else None
    if common.json:
        show_json(as_json(found, written))
    else:
        show(as_text(found, written))
    return ATTENTION if found.failures else 0


def _known(write: Path | None, *, named: bool) -> Environment | None:
    """The environment that has names for hosts and nodes: the file to complete, else ./cortops.yaml. BadInput for one with mistakes."""
    if write is not None and write.exists():
        loaded = load_file(write)
    elif OWN_FILE.exists() and not (named and write is not None):
        loaded = load_file(OWN_FILE)
        if named and isinstance(loaded, Invalid):
            return None  # it would only have lent its names
    else:
        return None
    if isinstance(loaded, Invalid):
        raise loaded.error()
    return loaded


def wanted_hosts(words: Sequence[str], known: Environment | None, *, sudo: bool) -> dict[str, Host]:
    """Name -> host: those asked for, by the names that they have in the file, or short ones; else all of the file."""
    declared = dict(known.hosts) if known else {}
    if not words:
        if not declared:
            raise BadInput("no host given, and there is no ./cortops.yaml", next="Name hosts: cortops discover USER@HOST ...")
        return {name: host.model_copy(update={"sudo": host.sudo or (sudo and not host.local)}) for name, host in declared.items()}
    if len(words) > HOSTS_MAX:
        raise BadInput(f"{len(words)} hosts given", next=f"Name at most {HOSTS_MAX} at once.")
    result: dict[str, Host] = {}
    for word in dict.fromkeys(words):
        name = word if word in declared else next((name for name, host in declared.items() if _is_same(host, word)), "")
        as_declared = name == word or (name != "" and declared[name].ssh in (word, None))
        host = declared[name] if as_declared else hosts_of([word])[word]
        name = name or _free_name(word, {*declared, *result})
        result[name] = host.model_copy(update={"sudo": host.sudo or (sudo and not host.local)})
    return result


def _is_same(host: Host, word: str) -> bool:
    """Whether a word means a declared host, by whichever user: a machine has one name."""
    if host.local or word == LOCAL:
        return host.local and word == LOCAL
    return (host.ssh or "").rpartition("@")[2].lower() == word.rpartition("@")[2].lower()


def _free_name(word: str, taken: set[str]) -> str:
    """`me@h1.lab.example` -> h1, or h1-lab, or h1-lab-example, or h1-2."""
    if word == LOCAL:
        return "here" if "here" not in taken else "this-machine"
    host = word.rpartition("@")[2].partition(":")[0]
    labels = host.split(".") if not host.replace(".", "").isdigit() else [host]
    tries = [plain("-".join(labels[:count])) or "host" for count in range(1, len(labels) + 1)]
    tries += [f"{tries[0][:27]}-{number}" for number in range(2, HOSTS_MAX + 2)]
    return next(name for name in tries if name not in taken)


async def _ask(hosts: Mapping[str, Host], common: Common) -> tuple[Mapping[str, Reply], float]:
    progress = Progress(sys.stderr)
    async with fleet(hosts, common) as place:
        at = place.clock.now()
        progress.now(f"asking {joined(hosts)} …")
        replies = await place.ask([question(name) for name in hosts])
    progress.say()
    return replies, at


def found_in(
    hosts: Mapping[str, Host],
    replies: Mapping[str, Reply],
    known: Environment | None,
    *,
    at: float,
    records: Mapping[str, NetworkRecord],
) -> Found:
    """What the hosts said, read, named and judged."""
    seen: list[HostFound] = []
    failures: dict[str, str] = {}
    for name in hosts:
        reply = replies.get(question_id(name))
        if isinstance(reply, Answer):
            seen.append(read(reply.text, name, asked_at=reply.at))
        else:
            failures[name] = reply.why if reply is not None else "it was not asked"
    nodes = [node for host in seen for node in host.nodes]
    names = name_nodes(nodes, _identities(known), known.nodes if known else ())
    ways = {name: SshAddress.read(host.ssh).command if host.ssh else "" for name, host in hosts.items()}
    most = most_meant(told for node in nodes if (told := meant(node.env, records)).runtime)
    told_flags = flags(seen, names, ways, records)
    return Found(at=at, hosts=tuple(seen), failures=failures, names=names, ways=ways, meant=most, flags=told_flags, records=records)


def _identities(known: Environment | None) -> dict[Identity, str]:
    installed = known.installed if known else {}
    return {(node.host, node.unit if Shape(node.shape) is Shape.DOCKER else "", node.env_file): name for name, node in installed.items()}


def write_file(file: Path, found: Found, hosts: Mapping[str, Host], known: Environment | None, network: str) -> Written:
    """Write or complete the environment file; the same text is not written again. BadInput where it would not be valid."""
    own = known if known and file.exists() else None
    chosen = network or (_network_of(own, found) if own else found.meant.name if found.meant else "")
    nodes = found.of(chosen, untold=own is not None)
    if not nodes or not chosen:
        raise BadInput(
            f"no node of {chosen} was found" if chosen else "no node was found, or of none could its env file be read",
            next="Name other hosts, or run it again with --sudo or --ask-sudo, so that env files can be read.",
        )
    installed: Mapping[str, CortensordNode] = own.installed if own else {}
    entries = node_entries(nodes, found.names, installed)
    used = {
        name: _host_body(host)
        for name, host in hosts.items()
        if any(node.host == name for node in nodes) and not (own and name in own.hosts and own.hosts[name].ssh != host.ssh)
    }
    gone = tuple(_gone(found, hosts, installed))
    if own:
        before = file.read_text("utf-8")
        merged = merge(before, used, entries.bodies, entries.comments)
        state = "same" if merged.text == before else "changed"
    else:
        told = next(one for node in nodes if (one := meant(node.env, found.records)).name == chosen)
        section = network_text(told, [node for node in nodes if node.env])
        if section is None:
            raise BadInput("the env files do not tell which chain the nodes are on", next="Write the file by hand; see: cortops schema")
        text = fresh(plain(file.stem) or "fleet", section, used, entries.bodies, entries.comments)
        merged, state = Merged(text=text, added=tuple(entries.bodies), changed=(), left=()), "new"
    checked = load(merged.text, str(file))
    if isinstance(checked, Invalid):
        raise checked.error()
    if state != "same":
        file.write_text(merged.text, "utf-8")
    return Written(file=str(file), state=state, added=merged.added, changed=merged.changed, left=(*entries.left, *merged.left, *gone))


def _network_of(env: Environment, found: Found) -> str:
    """The network of a file, as its own env files would say it."""
    told = {"CONTRACT_ADDRESS_RUNTIME": env.network.contracts.runtime, "CHAINID": str(env.network.chain_id)}
    return meant(told, found.records).name


def _host_body(host: Host) -> dict[str, str]:
    body = {"local": "true"} if host.local else {"ssh": host.ssh or ""}
    return body | ({"sudo": "true"} if host.sudo else {})


def _gone(found: Found, hosts: Mapping[str, Host], installed: Mapping[str, CortensordNode]) -> list[str]:
    """Nodes of the file on hosts that answered whole, and without them."""
    there = set(found.names.values())
    whole = {host.host for host in found.hosts if host.complete and not host.blind}
    return [
        f"{name} is in the file and no longer on {node.host}"
        for name, node in installed.items()
        if node.host in whole and name not in there
    ]
