"""A supervised program of ours or of others, as one Service value."""

from __future__ import annotations

from cortops.surfaces.site import HostSite
from cortops.words.entity import Entity
from cortops.words.resource import Reload, Resource, Service


def own_program(host: HostSite, module: str, settings_file: str) -> tuple[str, ...]:
    """The argument line of one of our programs: it gets one file, and asks for a parent-death signal itself."""
    return (host.python, "-m", f"cortops.programs.{module}", settings_file)


def foreign_program(host: HostSite, *argv: str) -> tuple[str, ...]:
    """The argument line of a program that does not ask for a parent-death signal itself."""
    return (host.python, "-m", "cortops.programs.leash", *argv)


def _folders(host: HostSite) -> tuple[str, ...]:
    return tuple(host.folder_key(f"{host.root}/{name}") for name in ("log", "run"))


def service(
    host: HostSite,
    entity: Entity,
    argv: tuple[str, ...],
    *,
    name: str = "",
    owner: str,
    because: str,
    inputs: tuple[Resource, ...],
    ports: tuple[int, ...],
    needs: tuple[str, ...] = (),
    reload: Reload | None = None,
) -> Service:
    """`entity`'s program on `host`. It needs its `inputs`, whose change restarts it, what it takes by `reload`, and `needs`.

    name: the entity's by default.
    """
    return Service(
        place=host.name,
        entity=entity,
        because=because,
        needs=(*(item.key for item in inputs), *(reload.on if reload else ()), *host.program_needs, *_folders(host), *needs),
        name=name or entity.name,
        argv=argv,
        directory=host.root,
        log_path=host.log_file(name or entity.name),
        owner=owner,
        ports=ports,
        restart_on=tuple(item.key for item in inputs),
        reload=reload,
    )
