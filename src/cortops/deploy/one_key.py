"""One key on one host: before a node is started, nobody else may run with its address. Asked of every declared host, as `discover` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from cortops.deploy.host_state import Guard, Starting
from cortops.surfaces.fleet.found.discover import HostFound, question, question_id, read
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.match import Missing, match
from cortops.surfaces.judging import Ask
from cortops.words.errors import Refused
from cortops.words.question import Answer, NoAnswer
from cortops.words.resource import NodeProgram


def refusals(starting: Sequence[Starting], found: Sequence[HostFound], silent: Mapping[str, str]) -> Iterator[Refused]:
    """Why these nodes may not be started: an address that runs elsewhere, or one of which nobody can say so.

    silent: host -> why it gave no answer. A node that runs already may be started anew while another host is silent: nothing new starts.
    """
    for each in starting:
        node = each.program
        address = _address(node, found)
        twin = next((other for host in found for other in host.nodes if _is_twin(node, address, other)), None)
        if twin is not None:
            yield _refusal(node, address, twin)
        elif not each.runs_now and silent:
            host, why = next(iter(silent.items()))
            yield Refused(
                f"{node.name} is not started: its key may run on {host}, which could not be asked: {why}",
                where=f"{node.place} and {host}",
                next="Let it answer, or take it out of the environment file, and run the same command again.",
            )


def _address(node: NodeProgram, found: Sequence[HostFound]) -> str:
    """The address that the node would start with: the one that its env file has now, else the declared one."""
    for host in found:
        if host.host == node.place:
            here = match(node, host)
            if not isinstance(here, Missing) and here.address:
                return here.address.lower()
    return node.address


def _is_twin(node: NodeProgram, address: str, other: Installed) -> bool:
    if not address or not other.running or other.address.lower() != address:
        return False
    return not (other.host == node.place and _is_itself(node, other))


def _is_itself(node: NodeProgram, other: Installed) -> bool:
    return other.unit == node.unit if node.unit else other.env_file == node.env_file


def _refusal(node: NodeProgram, address: str, twin: Installed) -> Refused:
    since = f" since {datetime.fromtimestamp(twin.started_at, UTC):%Y-%m-%d %H:%M:%S} UTC" if twin.started_at else ""
    what = twin.unit or twin.env_file
    return Refused(
        f"{node.name} is not started on {node.place}: its key {address[:6]}…{address[-4:]} runs on {twin.host} as {what}{since}",
        where=f"{node.place} and {twin.host}",
        why="one key on one host: two would block each other, or lose their stake",
        next=f"Stop {what} on {twin.host}, or give {node.name} its own key; then run the same command again.",
    )


def one_key(ask: Ask, hosts: Sequence[str], readers: Callable[[str, str], HostFound] = read) -> Guard:
    """A guard that asks these hosts just before a start, and raises the first refusal. hosts: all that are declared."""

    async def guard(starting: Sequence[Starting]) -> None:
        replies = await ask([question(host) for host in hosts])
        found: list[HostFound] = []
        silent: dict[str, str] = {}
        for host in hosts:
            reply = replies.get(question_id(host))
            if isinstance(reply, Answer):
                found.append(readers(reply.text, host))
            else:
                silent[host] = reply.why if isinstance(reply, NoAnswer) else "it was not asked"
        silent |= {one.host: "its answer was cut off" for one in found if not one.complete}
        for refused in refusals(starting, found, silent):
            raise refused

    return guard
