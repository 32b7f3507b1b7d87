"""`cortops contracts`: make the contracts alone, verify their code, and look at all of them side by side."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.apply import accepted_by
from cortops.cli.common import Common, environment, new_apply_id
from cortops.cli.compose import Here, here
from cortops.cli.output import Progress, joined, show, show_json, table
from cortops.cli.plan import as_json as plan_as_json
from cortops.cli.plan import as_text as plan_as_text
from cortops.cli.progress import Phases
from cortops.contracts.artifact import load
from cortops.contracts.rpc import RpcClient
from cortops.deploy import deployment as engine
from cortops.deploy.alone import is_contract
from cortops.deploy.lock import this_process
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.declared import Environment
from cortops.environment.model import DEPLOY
from cortops.local.here import demand_writable
from cortops.probes.matrix import matrix, modules_of, parent_modules_of
from cortops.surfaces.chain.addresses import ARTIFACTS, rpc_url
from cortops.surfaces.chain.matrix import MatrixRow, Module
from cortops.surfaces.chain.orbit_addresses import declared_places, parent_url
from cortops.surfaces.chain.verify import ARTIFACT_MAX_MIB, Built, Compared, Same, compare, read_built
from cortops.surfaces.site import Site
from cortops.words.errors import BadInput, ChainError, Refused

ATTENTION = 3
RPC_TIMEOUT_S = 8.0
SHORT = 10
_MARKS = {Same.EXACT: "●", Same.CODE: "▲", Same.DIFFERS: "■", Same.NONE: "■"}
Verified = Sequence[tuple[Module, Compared | None]]


def deploy_(
    file: Path | None = None,
    /,
    *,
    plan: str = "",
    accept_irreversible: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Make the contracts, their links and the gas that it takes; nothing else of the environment is touched.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    plan
        Make only this plan: its digest, or at least 8 digits of it.
    accept_irreversible
        Contracts stay on a chain for ever: make them all the same, as the plan names them.
    """
    env = environment(file, common)
    accepted = accepted_by(plan, large=False, irreversible=accept_irreversible)

    async def run() -> tuple[engine.Look, engine.Applied | None]:
        async with here(env, common) as place:
            demand_writable(place.root)
            deployment = replace(place.deployment, only=is_contract, states={})
            seen = await engine.look(deployment)
            if seen.cut_off is not None:
                raise Refused("an apply was cut off", where=env.file, next=f"finish it first: cortops apply {env.file}")
            if seen.lasting and not accept_irreversible:
                return seen, None
            phases = Phases(Progress(sys.stderr), deployment.clock)
            applied = await engine.apply(
                deployment, apply_id=new_apply_id(), owner=this_process(), digest=plan or None, report=phases.report, accepted=accepted
            )
            return seen, applied

    seen, applied = asyncio.run(run())
    if applied is None:
        if common.json:
            show_json(plan_as_json(seen))
        else:
            show(plan_as_text(seen, env.file, why=False, again=f"cortops contracts deploy {env.file}"))
        return ATTENTION
    if common.json:
        show_json({"environment": env.name, "changes": applied.made, "generation": applied.generation, "digest": applied.plan.digest})
    else:
        done = f"{applied.made} changes made on chain; {env.name} is at generation {applied.generation}."
        nothing = f"Nothing to do: all {len(applied.plan.unchanged)} resources of the contracts are as declared."
        show("\n".join([*applied.notes, done if applied.made else nothing]))
    return 0


def verify_(
    file: Path | None = None,
    /,
    *,
    artifacts: Path | None = None,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Compare each contract's code with what was built; exit 3 when one differs or is not there.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    artifacts
        A folder with what a Solidity compiler wrote, MODULE.json for each contract of others that is to be compared.
    """
    env = environment(file, common)
    built = read_folder(artifacts) if artifacts is not None else {}

    async def run() -> Verified:
        async with here(env, common, only_asks=True) as place:
            rpc, parent = _clients(env, place)
            site = _site(place)
            modules, above = await modules_of(env, site, rpc), parent_modules_of(env, site)
            found = list(await _codes(rpc, modules, built, env))
            return (*found, *(await _codes(parent, above, built, env) if parent is not None else ()))

    found = asyncio.run(run())
    if common.json:
        show_json({"environment": env.name, "contracts": [_verified_json(module, compared) for module, compared in found]})
    else:
        show(_verified_text(found))
    return 0 if all(compared is None or compared.same in (Same.EXACT, Same.CODE) for _, compared in found) else ATTENTION


def matrix_(
    file: Path | None = None,
    /,
    *,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Every module with its address, code hash, version and who may change it; exit 3 when the code of one is not as built.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    """
    env = environment(file, common)

    async def run() -> tuple[MatrixRow, ...]:
        async with here(env, common, only_asks=True) as place:
            rpc, parent = _clients(env, place)
            return await matrix(env, _site(place), rpc, parent)

    found = asyncio.run(run())
    if common.json:
        show_json({"environment": env.name, "contracts": [asdict(row) for row in found]})
    else:
        show(matrix_text(env, found))
    return ATTENTION if any(row.code in ("differs", "none") for row in found) else 0


def matrix_text(env: Environment, found: Sequence[MatrixRow]) -> str:
    """For people: a line for each module, owners last."""
    heading = ("MODULE", "ADDRESS", "CODE", "HASH", "VERSION", "WHO MAY CHANGE IT")
    lines = [(row.name, row.address, row.code, row.code_hash[:SHORT], row.version or "-", _owners(row)) for row in found]
    ill = [row.name for row in found if row.code in ("differs", "none")]
    told = f"{len(ill)} of {len(found)} not as built: {joined(ill)}    next: cortops contracts verify {env.file}"
    return table([heading, *lines]) + "\n" + (told if ill else f"{len(found)} contracts of {env.name}.")


def _owners(row: MatrixRow) -> str:
    proxy = f"proxy of {row.implementation}; " if row.implementation else ""
    return proxy + ("; ".join(f"{role} {', '.join(members)}" for role, members in row.owners.items()) or "not told")


def _clients(env: Environment, place: Here) -> tuple[RpcClient, RpcClient | None]:
    above = parent_url(env)
    parent = RpcClient(above, place.http, timeout_s=RPC_TIMEOUT_S) if above else None
    return RpcClient(rpc_url(env), place.http, timeout_s=RPC_TIMEOUT_S), parent


def _site(place: Here) -> Site:
    deployment = place.deployment
    return Site(hosts=deployment.hosts, public=deployment.secrets.publics(secrets_of(deployment.env)))


def read_folder(folder: Path) -> dict[str, Built]:
    """Module -> what was built, from MODULE.json of a folder. BadInput for a folder or file that cannot be read."""
    found: dict[str, Built] = {}
    try:
        for path in sorted(folder.glob("*.json")):
            with path.open("rb") as file:
                found[path.stem] = read_built(file.read(ARTIFACT_MAX_MIB << 20), str(path))
    except OSError as error:
        raise BadInput(f"cannot read {folder}", where=str(folder), why=error.strerror or str(error)) from error
    if not found:
        raise BadInput(f"{folder} holds no MODULE.json", where=str(folder), next="name a folder with what the compiler wrote")
    return found


async def _codes(rpc: RpcClient, modules: Sequence[Module], built: Mapping[str, Built], env: Environment) -> Verified:
    answers = await rpc.batch([("eth_getCode", (module.address, "latest")) for module in modules]) if modules else []
    found: list[tuple[Module, Compared | None]] = []
    for module, answer in zip(modules, answers, strict=True):
        if isinstance(answer, ChainError):
            raise answer
        ours = _ours(module, env)
        expected = built.get(module.name) or (Built(runtime=bytes.fromhex(ours[2:]), vyper=True) if ours else None)
        found.append((module, compare(expected, bytes.fromhex(str(answer)[2:])) if expected is not None else None))
    return found


def _ours(module: Module, env: Environment) -> str:
    """The runtime code of the artifact that we deployed there, "" for contracts of others."""
    if module.artifact is not None:
        return module.artifact.runtime_code
    if module.name not in ARTIFACTS and declared_places(env).get(module.name) == DEPLOY:
        return load("orbit/" + module.name.replace("-", "_")).runtime_code
    return ""


def _verified_json(module: Module, compared: Compared | None) -> dict[str, object]:
    said = {"same": "not compared", "reason": _NOT_COMPARED} if compared is None else {"same": str(compared.same), "reason": compared.text}
    return {"name": module.name, "address": module.address, **said}


def _verified_text(found: Verified) -> str:
    lines = [
        (" " if one is None else _MARKS[one.same], module.name, module.address, _NOT_COMPARED if one is None else one.text)
        for module, one in found
    ]
    compared = [one for _, one in found if one is not None]
    ill = sum(one.same in (Same.DIFFERS, Same.NONE) for one in compared)
    told = f"{ill} of {len(compared)} not as built." if ill else f"{len(compared)} of {len(found)} compared, all as built."
    return table(lines) + "\n" + told


_NOT_COMPARED = "not compared: give what its compiler wrote with --artifacts FOLDER"
