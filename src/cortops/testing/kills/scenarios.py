"""What is killed: adopt, an upgrade, one to a bad release, a rollback of program, unit and env file, and leave, in every shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cortops.deploy.host_state import HostLook, HostState, Want, apply_host, host_state, look_host
from cortops.deploy.leave import leave
from cortops.deploy.lock import Owner
from cortops.deploy.node_programs import HostRecord, Program, programs, restored, switched
from cortops.surfaces.fleet.adopted import folders
from cortops.targets.target import Target
from cortops.testing.kills.place import SHAPES, Held, Place
from cortops.words.clock import Clock
from cortops.words.errors import StepFailed
from cortops.words.resource import Resource

# Its process is gone from this machine, so that the next one takes its lock over at once.
OWNER = Owner(who="ops@laptop", pid=4_000_000, pid_started=1, machine="laptop", boot="1")
NEXT = Owner(who="ops@laptop", pid=1, pid_started=1, machine="laptop", boot="2")
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Hands:
    """Who applies on the place: `state` by a target of their own, and whose lock it is."""

    place: Place
    state: HostState
    owner: Owner

    async def apply(self, want: Want, *, adopting: bool = False) -> None:
        await apply_host(
            self.state,
            want,
            apply_id=f"apply-{self.owner.boot}",
            owner=self.owner,
            tool_version=VERSION,
            report=lambda event: None,
            adopting=adopting,
        )

    async def look(self, want: Want) -> HostLook:
        return await look_host(self.state, want, VERSION)

    # --- the operations

    async def adopt(self) -> None:
        """Adopt what runs."""
        await self.apply(self.adopted, adopting=True)

    async def upgrade(self) -> None:
        """To the new build."""
        await self.apply(self.towards("new"))

    async def upgrade_badly(self) -> None:
        """To a release that ends at once: refused by the host itself, with what ran before running again."""
        try:
            await self.apply(self.towards("bad"))
        except StepFailed as failed:
            if "did not stay up" not in failed.what:
                raise

    async def back(self) -> None:
        """To what was found, as a whole."""
        await self.apply(self.first)

    async def forth(self) -> None:
        """To the generation from which a rollback began."""
        newest = await self.state.manifests.read(self.place.generation)
        assert newest is not None
        await self.apply(lambda record: restored(record, newest, {"n"}))

    async def leave(self) -> None:
        """Take our folder away."""
        await leave(self.state, self.owner, f"apply-{self.owner.boot}", VERSION)

    def adopted(self, record: HostRecord) -> Sequence[Resource]:
        """The node as it runs now, beside what is recorded."""
        node = self.place.node()
        known = programs(record.latest).get("n")
        if known is not None:
            node = replace(known, whole=False, program=self.place.running)
        made = folders("h1", "lab", "lab.yaml:3")
        kept = [item.resource for item in record.latest.resources if item.resource.id.startswith("blob:")] if record.latest else []
        return (*made, *kept, replace(node, needs=tuple(folder.key for folder in made)))

    def towards(self, build: str) -> Want:
        """The node with another build."""
        size = self.place.programs[build].stat().st_size
        return lambda record: switched(record, {"n": Program(sha256=self.place.sha[build], release=build, size=size)})

    @staticmethod
    def first(record: HostRecord) -> Sequence[Resource]:
        """The node as it was found."""
        assert record.first is not None
        return restored(record, record.first, {"n"})


Operation = Callable[[Hands], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One operation on a prepared place. before, after: marks of both generations, build, env and unit.

    prepare: by whom the place becomes what it is before. again, back: what the next apply does, and which generation that leads to.
    wants: what our own look is asked to plan towards.
    """

    name: str
    prepare: tuple[Operation, ...]
    does: Operation
    before: tuple[str, str, str]
    after: tuple[str, str, str]  # of a bad release: what must not stay
    again: tuple[Operation, tuple[str, str, str]]
    back: tuple[Operation, tuple[str, str, str]]
    wants: Callable[[Hands], Want]
    quiet: bool = False  # no process may be touched, and nothing of the operator's


_OLD, _NEW, _EDITED = ("old", "a", "1"), ("new", "a", "1"), ("new", "b", "2")


async def _edit(hands: Hands) -> None:
    """The operator changes env file and unit by hand, starts it anew, and has that recorded."""
    await hands.place.operate("b", "2")
    await hands.place.settled(runs=True)
    if hands.place.shape == "nohup":  # his own script starts his own program: ours comes back by the upgrade
        await hands.adopt()
        await hands.upgrade()
    await hands.adopt()


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="adopt",
        prepare=(),
        wants=lambda hands: hands.adopted,
        does=Hands.adopt,
        before=_OLD,
        after=_OLD,
        again=(Hands.adopt, _OLD),
        back=(Hands.leave, _OLD),
        quiet=True,
    ),
    Scenario(
        name="upgrade",
        prepare=(Hands.adopt,),
        wants=lambda hands: hands.towards("new"),
        does=Hands.upgrade,
        before=_OLD,
        after=_NEW,
        again=(Hands.upgrade, _NEW),
        back=(Hands.back, _OLD),
    ),
    Scenario(
        name="bad release",
        prepare=(Hands.adopt,),
        wants=lambda hands: hands.first,
        does=Hands.upgrade_badly,
        before=_OLD,
        after=("bad", "a", "1"),
        again=(Hands.upgrade_badly, _OLD),
        back=(Hands.back, _OLD),
    ),
    Scenario(
        name="rollback",
        prepare=(Hands.adopt, Hands.upgrade, _edit),
        wants=lambda hands: hands.first,
        does=Hands.back,
        before=_EDITED,
        after=_OLD,
        again=(Hands.back, _OLD),
        back=(Hands.forth, _EDITED),
    ),
    Scenario(
        name="leave",
        prepare=(Hands.adopt,),
        wants=lambda hands: hands.adopted,
        does=Hands.leave,
        before=_OLD,
        after=_OLD,
        again=(Hands.leave, _OLD),
        back=(Hands.adopt, _OLD),
        quiet=True,
    ),
)


def held(place: Place, marks: tuple[str, str, str]) -> Held:
    """The marks of a generation as this shape can show them."""
    build, env, unit = marks
    return Held(place.sha[build], env, "" if place.shape == "docker" else unit)


def hands(place: Place, target: Target, clock: Clock, owner: Owner) -> Hands:
    """Who applies there. Programs that are sent are taken from the builds."""
    files: Mapping[str, Path] = {place.sha[name]: path for name, path in place.programs.items()}
    return Hands(place, host_state(target, "lab", clock, lambda blob: files[blob.sha256]), owner)


def cases() -> list[tuple[str, Scenario]]:
    """Every shape with every scenario."""
    return [(shape, scenario) for shape in SHAPES for scenario in SCENARIOS]
