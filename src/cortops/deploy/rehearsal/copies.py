"""Which nodes are copied to this machine, as what, and which upgrade is played on them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cortops.deploy.earning_gate import GateAsks, Rate
from cortops.deploy.waves.plan import Candidate, Step, UpgradePlan, Wishes, plan_upgrade
from cortops.environment.cortensord import CortensordNode
from cortops.environment.declared import Environment
from cortops.surfaces.fleet.adopted import BASE, folders, node_program
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.public_keys import form_of
from cortops.words.resource import NodeProgram, Resource

HERE = "copies"  # the name of the place where they run
COPIES_MAX = 8  # at once: each is a process of cortensord
SOAK_S = 5.0  # how long a copy is watched after its change
DEADLINE_S = 60.0
SETTLE_S = 1
FOLDER = f"{BASE}/copied"
_UNSEEN = "nobody could see what it runs"
_OF_THE_HOST = ("LOG_FILE_NAME",)  # names a place on the host that a copy has not


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What a node runs by its host's own record. words: of its start line, after the role."""

    program: str
    release: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A node as it is copied. node: as it would be declared here: started by hand, in a folder of its own. env_text: with its own key."""

    name: str
    node: CortensordNode
    runs: Runs
    env_text: str = field(repr=False)

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who is copied, and who is not: (node, why)."""

    copies: tuple[Copy, ...]
    left: tuple[tuple[str, str], ...] = ()


def cast(
    env: Environment,
    names: Sequence[str],
    found: Mapping[str, Installed],
    runs: Mapping[str, Runs],
    keys: Mapping[str, tuple[str, str]],
    rpc: str,
) -> Cast:
    """Copies of these nodes, in order. found: node -> as it was found. keys: node -> (private key, address), made for its copy alone.

    rpc: the declared RPC, which stands for each of a node's own: the whole of those stays on its host.
    """
    left = [(name, _UNSEEN) for name in names if name not in runs or not runs[name].program]
    seen = [name for name in names if name in runs and runs[name].program]
    left += [(name, f"{COPIES_MAX} copies run here at once, and others come first") for name in seen[COPIES_MAX:]]
    copies = [_copy(env, name, found.get(name), runs[name], keys[name], rpc) for name in seen[:COPIES_MAX]]
    return Cast(copies=tuple(copies), left=tuple(left))


def _copy(env: Environment, name: str, found: Installed | None, runs: Runs, key: tuple[str, str], rpc: str) -> Copy:
    folder = f"{FOLDER}/{name}"
    moved = {
        "host": HERE,
        "shape": "nohup",
        "unit": "",
        "env_file": f"{folder}/.env",
        "log": f"{folder}/log",
        "binary": f"{folder}/cortensord",
        "address": key[1],
    }
    node = env.installed[name].model_copy(update=moved)
    return Copy(name=name, node=node, runs=runs, env_text=env_text(found.env if found is not None else {}, key, rpc))


def env_text(public: Mapping[str, str], key: tuple[str, str], rpc: str) -> str:
    """An env file from the public values of a node's own, with this key and this RPC in place of its own."""
    own = {"NODE_PUBLIC_KEY": key[1], "NODE_PRIVATE_KEY": key[0]}
    kept: dict[str, str] = {}
    for name, value in public.items():
        form = form_of(name)
        if form in (None, "kept") or value in ("", "?") or name in (*own, "PUBLIC_KEY", *_OF_THE_HOST):
            continue
        kept[name] = rpc if form == "url" else value
    return "".join(f"{name}={value}\n" for name, value in (kept | own).items())


def resources(env: Environment, copies: Sequence[Copy]) -> tuple[Resource, ...]:
    """What the place of copies should hold at first: our folders, and what each runs."""
    made: list[NodeProgram] = []
    for copy in copies:
        program = node_program(env, copy.name, copy.node, sha256=copy.runs.program, release=copy.runs.release)
        made.append(replace(program, settle_s=SETTLE_S))
    return (*folders(HERE, env.name, env.file), *made)


def asks(soak_s: float = SOAK_S) -> GateAsks:
    """What a copy's gate asks: it runs, it stays up, it is the right program. It cannot earn."""
    return GateAsks(commits=0, soak_s=soak_s, deadline_s=max(DEADLINE_S, soak_s), expected_s=soak_s)


def as_played(plan: UpgradePlan, names: Sequence[str], soak_s: float = SOAK_S) -> UpgradePlan:
    """The same waves, of those nodes that are copied; what an earlier run left on the hosts is not played."""
    waves = [tuple(_played(step, soak_s) for step in wave if step.node in names) for wave in plan.waves]
    return replace(plan, waves=tuple(wave for wave in waves if wave), per_host=COPIES_MAX, passed=(), apart=())


def _played(step: Step, soak_s: float) -> Step:
    return replace(step, host=HERE, asks=asks(soak_s), every_s=None, selectable=False, earned=None, half=False, due_since=None, bad="")


def plan_of(env: Environment, release: str, program: str, copies: Sequence[Copy], soak_s: float = SOAK_S) -> UpgradePlan:
    """An upgrade of the copies that no plan of the nodes stands behind."""
    candidates = [
        Candidate(
            node=copy.name,
            host=HERE,
            role=copy.node.role,
            program=copy.runs.program,
            standing="old",
            rate=Rate(selected=0, over_s=0.0),
            selectable=False,
        )
        for copy in copies
    ]
    plan = plan_upgrade(env.name, release, program, candidates, Wishes(soak_s=soak_s))
    return as_played(plan, [copy.name for copy in copies], soak_s)
