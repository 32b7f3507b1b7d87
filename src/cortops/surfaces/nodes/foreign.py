"""Programs of others under our service manager: settings, files and secrets on the host, a data folder, a service. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from cortops.environment.declared import Environment
from cortops.environment.foreign import ForeignNode
from cortops.environment.graph import node_entity
from cortops.environment.model import ForeignProgram, Node
from cortops.protocol.foreign import ForeignSettings, data_folder, files_folder
from cortops.protocol.foreign import render as settings_text
from cortops.surfaces.fleet.render import release_blob
from cortops.surfaces.reach import from_host, listens_on, place
from cortops.surfaces.services.render import own_program, service
from cortops.surfaces.site import HostSite, Site, cite
from cortops.words.resource import Blob, Content, Directory, File, Resource, SecretRef


def after(env: Environment, node: Node) -> tuple[str, ...]:
    """The services that start before a node's, by its `depends_on`."""
    return tuple(f"{env.nodes[name].host} service:{name}" for name in node.depends_on)


def render(env: Environment, host: HostSite, name: str, node: ForeignProgram) -> Iterator[Resource]:
    """Everything of one node."""
    entity, because = node_entity(name, node), cite(env, "nodes", name)
    folder = data(host, name, node, because)
    kept = host.folder(kept_folder(host, name), because, mode=0o700)
    blob = program_blob(env, host, name, node, folder)

    def file(path: str, content: Content, parent: str) -> File:
        return File(place=host.name, entity=entity, because=because, needs=(parent,), path=path, content=content, mode=0o600)

    files = [file(f"{kept.path}/{title}", content(env, name, node, folder.path, text), kept.key) for title, text in node.files.items()]
    secrets = [file(_secret_file(kept, variable), (secret.ref,), kept.key) for variable, secret in node.secrets.items()]
    settings = file(
        f"{host.root}/etc/{name}.json",
        (settings_text(_settings(env, name, node, folder, kept, blob)),),
        host.folder_key(f"{host.root}/etc"),
    )
    yield folder
    if files or secrets:
        yield kept
    yield from (*files, *secrets, settings, *((blob,) if blob else ()))
    made = service(
        host,
        entity,
        own_program(host, "foreign", settings.path),
        owner=env.owner_of(entity),
        because=because,
        inputs=(settings, *files, *secrets, *((blob,) if blob else ())),
        ports=(node.port,),
        needs=(folder.key, *after(env, node)),
    )
    yield replace(made, stop_signal=node.stop_signal, stop_timeout_s=node.stop_timeout_s)


def copies(env: Environment, site: Site) -> dict[tuple[str, str], frozenset[str]]:
    """(host, path) of each file that the starter copies for a program's account -> the secrets in it; no resource tells of those."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for name, node in env.nodes.items():
        if not isinstance(node, ForeignNode):
            continue
        folder = data(site.hosts[node.host], name, node, "").path
        for title, text in node.files.items():
            held = {part.name for part in content(env, name, node, folder, text) if isinstance(part, SecretRef)}
            found[node.host, f"{files_folder(folder)}/{title}"] = frozenset(held)
    return found


def data(host: HostSite, name: str, node: ForeignNode, because: str) -> Directory:
    """The folder of its data and files; a declared one lies where its account can enter."""
    folder = host.folder(host.data(name), because, keep=True)
    return folder if node.data is None else replace(folder, path=node.data.rstrip("/"), needs=())


def kept_folder(host: HostSite, name: str) -> str:
    """Where its files and secrets are kept for its starter, which alone can read them."""
    return f"{host.root}/etc/{name}"


def program_blob(env: Environment, host: HostSite, name: str, node: ForeignProgram, folder: Directory) -> Blob | None:
    """The file of its release, None for a program of the host. In its own folder: its account cannot enter that of all releases."""
    if node.release is None:
        return None
    blob = release_blob(env, host, node.release)
    return replace(blob, path=f"{folder.path}/{blob.path.rpartition('/')[2]}", entity=node_entity(name, node), needs=(folder.key,))


def content(env: Environment, name: str, node: ForeignNode, folder: str, text: str) -> Content:
    """The text of a file with its placeholders replaced, secrets as references."""
    text = _replaced(env, name, node, folder, text).replace("{data}", data_folder(folder))
    parts = re.split(rf"\{{({'|'.join(node.secrets)})\}}", text) if node.secrets else [text]
    return tuple(node.secrets[part].ref if index % 2 else part for index, part in enumerate(parts) if part)


def _settings(env: Environment, name: str, node: ForeignProgram, folder: Directory, kept: Directory, blob: Blob | None) -> ForeignSettings:
    def words(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_replaced(env, name, node, folder.path, text) for text in texts)

    return ForeignSettings(
        argv=(blob.path if blob else str(node.program), *words(node.arguments)),
        folder=folder.path,
        first_start=words(node.first_start),
        files={title: f"{kept.path}/{title}" for title in node.files},
        env={variable: _replaced(env, name, node, folder.path, text) for variable, text in node.env.items()},
        secrets={variable: _secret_file(kept, variable) for variable in node.secrets},
        user=node.user,
        stop_signal=node.stop_signal,
    )


def _replaced(env: Environment, name: str, node: ForeignNode, folder: str, text: str) -> str:
    """All but `{data}`, which the first start has another one of."""
    known = {"files": files_folder(folder), "port": str(node.port), "address": ",".join(listens_on(env, name, node.host))}
    for other in node.depends_on:
        known[other] = place(from_host(env, env.nodes[other].host, node.host), env.nodes[other].port)
    for placeholder, value in known.items():
        text = text.replace(f"{{{placeholder}}}", value)
    return text


def _secret_file(kept: Directory, variable: str) -> str:
    return f"{kept.path}/.env-{variable}"
