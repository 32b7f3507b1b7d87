"""`cortops secrets check`: every secret is there, opens, is of its kind, and lies nowhere else, here and on every host."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cortops import surfaces
from cortops.cli import plan as plans
from cortops.cli.common import Common, environment
from cortops.cli.compose import Here, here, this_machine
from cortops.cli.output import show, show_json, table
from cortops.deploy.deployment import look
from cortops.deploy.secrets import SecretStore
from cortops.deploy.secrets_check import IDENTITY, Allowed, FileMode, Kept, Remark, of_kept, of_search
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.secrets_search import HISTORIES, SCRATCH_PLACES, SYSTEM_PLACES, Haystack, Searched, in_texts, search
from cortops.deploy.wanted import Entry, SecretView, Wanted
from cortops.environment.declared import Environment
from cortops.environment.model import WalletNode
from cortops.surfaces.fleet.adopted import BASE, host_root
from cortops.surfaces.nodes.foreign import copies
from cortops.words.errors import CortopsError
from cortops.words.resource import File, SecretRef

ILL, ATTENTION = 1, 3
_ORDER = {"bad": 0, "attention": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was judged. containers: nodes whose env file lies in a container, which is not searched."""

    secrets: int
    remarks: tuple[Remark, ...]
    searched: tuple[Searched, ...]
    containers: tuple[str, ...]
    elapsed_s: float


def check_(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Is every secret there, whole and ours alone, and does its value stand nowhere else: plan, journal, logs, units, argv, host files."""
    env = environment(file, common)
    checked = asyncio.run(_check(env, common))
    if common.json:
        show_json(
            {
                "environment": env.name,
                "secrets": checked.secrets,
                "remarks": [asdict(remark) for remark in checked.remarks],
                "machines": [{"machine": one.host, "searched_for": len(one.searched_for), "why": one.why} for one in checked.searched],
                "not_searched": list(checked.containers),
            }
        )
    else:
        show(_as_text(env, checked))
    levels = {remark.level for remark in checked.remarks}
    return ILL if "bad" in levels else ATTENTION if levels else 0


async def _check(env: Environment, common: Common) -> Checked:
    async with here(env, common) as place:
        clock, begun = place.deployment.clock, place.deployment.clock.monotonic()
        wanted = secrets_of(env)
        kept = await asyncio.to_thread(_kept, place.deployment.secrets, env, wanted, clock.now())
        allowed, of_place = _allowed(place, env, kept.view)
        values = _values(place.deployment.secrets, kept)
        public = "\n".join(entry.public for entry in kept.view.entries.values())
        own = this_machine(env)
        at = {
            name: values if name == own else {key: values[key] for key in of_place.get(name, ()) if key in values} for name in place.targets
        }
        searched = await asyncio.gather(
            *(search(target, _haystack(place, env, name, wanted), at[name], public) for name, target in place.targets.items())
        )
        if kept.view.complete:
            searched.append(await _of_plan(place, own, values, public))
        remarks = [*of_kept(kept), *of_search(searched, _with_env_files(allowed, env, searched), wanted)]
        remarks.sort(key=lambda remark: _ORDER[remark.level])
        inside = tuple(name for name, node in env.installed.items() if node.shape == "docker")
        took_s = clock.monotonic() - begun
        machines = tuple(one for one in searched if one.host in place.targets)
        return Checked(secrets=len(wanted), remarks=tuple(remarks), searched=machines, containers=inside, elapsed_s=took_s)


def _kept(store: SecretStore, env: Environment, wanted: Sequence[Wanted], now: float) -> Kept:
    """What is there. Raises what opening the age file raises: then nothing else can be judged."""
    outside = store.look_outside(wanted)
    given = {name: entry for name, entry in outside.items() if isinstance(entry, Entry)}
    sealed = store.sealed.entries()
    entries = {**sealed, **given}
    own = store.folder / "secrets.age"
    shared = store.sealed.is_shared
    return Kept(
        view=SecretView(environment=env.name, wanted=tuple(wanted), entries=entries, now=now),
        outside=outside,
        files=tuple(_modes((store.folder, 0o700), (store.sealed.identity, 0o600), (own, 0o600), (store.folder / "index.json", 0o600))),
        older=str(own) if shared and own.exists() else "",
        unused=tuple(want.name for want in wanted if want.outside is not None and want.name in sealed),
        sealed_for=store.sealed.recipients_sealed() if shared and store.sealed.file.exists() else 0,
        declared_for=len(store.sealed.recipients) if shared and store.sealed.file.exists() else 0,
    )


def _modes(*files: tuple[Path, int]) -> Iterator[FileMode]:
    for path, most in files:
        if path.exists():
            yield FileMode(path=str(path), mode=path.stat().st_mode & 0o777, most=most)


def _values(store: SecretStore, kept: Kept) -> dict[str, str]:
    """All that we can open, old values and the identity too."""
    identity = {IDENTITY: store.sealed.key().decode()} if store.sealed.identity.exists() else {}
    return {**{name: entry.value for name, entry in kept.view.entries.items()}, **identity}


def _allowed(place: Here, env: Environment, view: SecretView) -> tuple[Allowed, Mapping[str, set[str]]]:
    """Where our own resources put values, and of which secrets each place holds some."""
    files: dict[tuple[str, str], frozenset[str]] = {}
    names: dict[str, set[str]] = {}
    site = place.deployment.site(_for_looking(view))
    for item in (item for item in surfaces.render(env, site) if isinstance(item, File)):
        if held := {part.name for part in item.content if isinstance(part, SecretRef) and not part.is_public}:
            files[item.place, item.path] = frozenset(held)
            names.setdefault(item.place, set()).update(held)
    files |= copies(env, site)
    for node in env.nodes.values():
        if isinstance(node, WalletNode) and (path := view.on_host.get(node.wallet.secret)):
            files[node.host, path] = frozenset({node.wallet.secret})
    files[this_machine(env), str(place.deployment.secrets.sealed.identity)] = frozenset({IDENTITY})
    folders = frozenset((host, f"{host_root(env.name)}/adopted") for host in place.targets)
    return Allowed(files=files, folders=folders), names


def _for_looking(view: SecretView) -> SecretView:
    """The same without what others did not give, so that a render shows stand-ins."""
    wanted = tuple(
        replace(want, outside=None) if want.outside and not want.on_host and want.name not in view.entries else want for want in view.wanted
    )
    return replace(view, wanted=wanted)


def _with_env_files(allowed: Allowed, env: Environment, searched: Sequence[Searched]) -> Allowed:
    """The env files of operators hold the keys of their own nodes."""
    files = dict(allowed.files)
    for one in searched:
        for name, node in env.installed.items():
            if node.host == one.host:
                own = frozenset(secret for secret in one.searched_for if secret.startswith(f"{name} "))
                files[one.host, node.env_file] = files.get((one.host, node.env_file), frozenset()) | own
    return replace(allowed, files=files)


def _haystack(place: Here, env: Environment, host: str, wanted: Sequence[Wanted]) -> Haystack:
    """Where a machine is searched: our folder, units, logs, scratch folders, shell histories, and the folders of operators' env files."""
    env_files = {name: node.env_file for name, node in env.installed.items() if node.host == host and node.shape != "docker"}
    wallets = {node.wallet.secret: node.host for node in env.nodes.values() if isinstance(node, WalletNode)}
    key_files = {want.name: want.on_host for want in wanted if want.on_host and wallets.get(want.name) == host}
    folders = tuple(dict.fromkeys(path.rpartition("/")[0] for path in env_files.values()))
    if host == this_machine(env):
        home = os.environ.get("HOME", "")
        histories = tuple(f"{home}/{name}" for name in HISTORIES) if home else ()
        file = Path(env.file).absolute()
        places = (str(place.root), *SYSTEM_PLACES, *histories, str(file))
        return Haystack(places=places, shallow=(*SCRATCH_PLACES, str(file.parent), *folders), env_files=env_files, key_files=key_files)
    own = (place.deployment.hosts[host].root,) if host in place.deployment.hosts else ()
    places, shallow = (BASE, *own, *SYSTEM_PLACES), (*SCRATCH_PLACES, "/root", "/home", *folders)
    return Haystack(places=places, shallow=shallow, env_files=env_files, key_files=key_files)


async def _of_plan(place: Here, host: str, values: Mapping[str, str], public: str) -> Searched:
    """The plan as people and programs get it."""
    try:
        seen = await look(place.deployment)
    except CortopsError as error:
        return Searched(host=f"the plan of {place.deployment.env.name}", why=error.what)
    texts = {"the plan": plans.as_text(seen, place.deployment.env.file, why=True), "the plan as JSON": json.dumps(plans.as_json(seen))}
    return Searched(host=f"the plan of {place.deployment.env.name}", found=in_texts(values, texts, host, public))


def _as_text(env: Environment, checked: Checked) -> str:
    whole = [one for one in checked.searched if not one.why]
    lines = [
        f"{env.name} · {checked.secrets} secrets · {len(whole)} of {len(checked.searched)} machines searched in {checked.elapsed_s:.1f} s"
    ]
    rows = [
        ("!" if remark.level == "bad" else "·", remark.secret or "all", remark.what, remark.where, f"next: {remark.next}")
        for remark in checked.remarks
    ]
    lines += [table(rows, "")] if rows else ["Every secret is there and whole; no value stands where it should not."]
    lines += [f"searched for {len(one.searched_for)} values on {one.host}" for one in whole if one.searched_for]
    if checked.containers:
        lines.append(f"not searched for: the keys of {', '.join(checked.containers)}, whose env files lie in containers")
    return "\n".join(lines)
