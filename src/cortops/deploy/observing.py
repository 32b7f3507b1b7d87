"""An installed watch: what it consists of on its own host, and on each host that it looks at by a key that may only look. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from cortops import surfaces
from cortops.deploy.runtime import RELEASE, Runtime
from cortops.environment.declared import Environment, host_uses
from cortops.probes.nodes import host_questions
from cortops.surfaces.fleet.adopted import BASE
from cortops.surfaces.monitoring.render import WATCH
from cortops.surfaces.site import Site
from cortops.targets.observed import OBSERVE, Login, list_of
from cortops.targets.ssh_address import SshAddress, key_name
from cortops.words.entity import Entity
from cortops.words.errors import BadInput
from cortops.words.question import Question, Shell
from cortops.words.resource import AuthorizedKey, Blob, Directory, File, Resource, SecretRef, Service, Tree

SINCE_S = 86_400.0  # how far back it looks for earnings; part of the texts on a host's list
CHANNEL_FILE_SECRET = "notify/"  # where the secrets of channels are
BECAUSE = "watch --install"  # what declares all of it
NO_KEY = "made-on-the-host-by-the-apply"  # stands for the public half of a key that is still to be made

_PUBLIC = re.compile(r"ssh-ed25519 [A-Za-z0-9+/=]{60,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPlace:
    """Where an installed watch has its things. host: its name in the file; port: of its console, on loopback."""

    environment: str
    host: str
    port: int

    @property
    def root(self) -> str:
        """Its folder on its own host."""
        return f"{BASE}/{self.environment}.watch"

    @property
    def observe_root(self) -> str:
        """Ours on every host that it looks at."""
        return f"{BASE}/{self.environment}.observe.{self.host}"

    @property
    def mark(self) -> str:
        """The comment of its lines in authorized_keys."""
        return f"cortops:watch:{self.environment}:{self.host}"

    @property
    def acting_mark(self) -> str:
        """The same of the key that may act."""
        return f"cortops:act:{self.environment}:{self.host}"

    @property
    def home(self) -> str:
        """Where an upgrade that was handed over finds its SSH configuration, its cache and the environment file."""
        return f"{self.root}/act"

    @property
    def acting_key(self) -> str:
        """The private half of the key that may act."""
        return f"{self.root}/key/act_ed25519"

    @property
    def upgrade_unit(self) -> str:
        """The transient unit of an upgrade that was handed over; one at a time."""
        return f"cortops-upgrade-{self.environment}.service"

    @property
    def upgrade_log(self) -> str:
        return f"{self.root}/log/upgrade.log"

    @property
    def prefix(self) -> str:
        """Of its unit, and of that which rotates its log."""
        return f"cortops-watch-{self.environment}-"

    @property
    def file(self) -> str:
        return f"{self.root}/etc/{self.environment}.yaml"

    @property
    def ssh_config(self) -> str:
        return f"{self.root}/etc/ssh_config"

    @property
    def known_hosts(self) -> str:
        return f"{self.root}/etc/known_hosts"

    @property
    def logins(self) -> str:
        """How each host was reached, for the next install."""
        return f"{self.root}/etc/logins.json"

    @property
    def channels(self) -> str:
        """A folder with a file for each channel."""
        return f"{self.root}/etc/channels"

    @property
    def data(self) -> str:
        return f"{self.root}/data"

    @property
    def key(self) -> str:
        """The private half, which never leaves the host."""
        return f"{self.root}/key/id_ed25519"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What an installed watch is made of. logins: host -> how it is reached, without its own; missing ones are not looked at.

    public: the public half of its key, NO_KEY before it is made. channels: names of those that it tells.
    acting: the same of a second key, by which upgrades that are handed over act everywhere; "" where that is not wanted. own: how the
    watch's own host is reached, for that key.
    """

    place: WatchPlace
    public: str
    logins: Mapping[str, Login]
    runtime: Runtime
    channels: Sequence[str] = ()
    acting: str = ""
    own: Login | None = None


def demand_only_installed(env: Environment) -> None:
    """BadInput for an environment with programs of ours: their answers are on loopback of each host, which the key does not open."""
    if ours := list(dict.fromkeys(host for path, host in host_uses(env) if path[0] != "monitor")):
        renews = any(route.tls.by == "acme" for route in env.proxy.values())
        raise BadInput(
            f"{env.file} runs programs of ours on {', '.join(ours)}; an installed watch looks at nodes that run cortensord, and no others",
            next="Declare monitor: {on: here, port: 8500} where your SSH keys are, then: cortops apply"
            + (" (with acme.renew: watch it renews certificates too)" if renews else ""),
        )


def questions_of(env: Environment) -> dict[str, tuple[Shell, ...]]:
    """Host -> all that an installed watch ever asks of it: how it and its nodes are, then what their logs say."""
    every: list[Question] = list(surfaces.questions(env, Site(hosts={}, public={})))
    for host in dict.fromkeys(node.host for node in env.installed.values()):
        every += host_questions(env, host, SINCE_S)
    found: dict[str, list[Shell]] = {name: [] for name in env.hosts}
    for question in every:
        if isinstance(question, Shell):
            found[question.target].append(question)
    return {name: tuple(asked) for name, asked in found.items()}


def resources(env: Environment, watching: Watching) -> tuple[Resource, ...]:
    """On the watch's host and on all others. It starts last, when every host lets it in."""
    observed = tuple(item for name in watching.logins for item in _observed(env, watching, name))
    keys = tuple(item.key for item in observed if isinstance(item, AuthorizedKey))
    return (*observed, *_acting(watching), *_on_its_host(env, watching, keys))


def _observed(env: Environment, watching: Watching, name: str) -> tuple[Resource, ...]:
    place, because, entity = watching.place, BECAUSE, Entity("host", name)
    root = Directory(place=name, entity=entity, because=because, path=place.observe_root, mode=0o755)
    program = File(
        place=name, entity=entity, because=because, needs=(root.key,), path=f"{place.observe_root}/observe", content=(OBSERVE,), mode=0o755
    )
    asked = File(
        place=name,
        entity=entity,
        because=because,
        needs=(root.key,),
        path=f"{place.observe_root}/list",
        content=(list_of(questions_of(env)[name]),),
    )
    login = watching.logins[name]
    key = AuthorizedKey(
        place=name,
        entity=entity,
        because=because,
        needs=(program.key, asked.key),
        account=login.user,
        public=watching.public,
        command=program.path if login.user == "root" else f"sudo -n {program.path}",
        mark=place.mark,
    )
    return (root, program, asked, key)


def _acting(watching: Watching) -> tuple[Resource, ...]:
    """A line on every host, the watch's own too: its upgrades come in as a laptop's do."""
    if not watching.acting or watching.own is None:
        return ()
    every = {**watching.logins, watching.place.host: watching.own}
    return tuple(
        AuthorizedKey(
            place=name,
            entity=Entity("host", name),
            because=f"{BECAUSE} --may-act",
            account=login.user,
            public=watching.acting,
            command="",
            mark=watching.place.acting_mark,
        )
        for name, login in every.items()
    )


def _on_its_host(env: Environment, watching: Watching, keys: tuple[str, ...]) -> tuple[Resource, ...]:
    place = watching.place
    names = ("etc", "etc/channels", "key", "log", "blobs", "runtime")
    folders = [*(_folder(place, f"{place.root}/{name}") for name in names), _folder(place, place.data, keep=True)]
    inputs = [
        _file(place, place.file, env.text),
        _file(place, place.ssh_config, ssh_config(env, watching.logins)),
        _file(place, place.known_hosts, known_hosts(watching.logins)),
        _file(place, place.logins, logins_text(watching.logins)),
        *(_file(place, f"{place.channels}/{name}", SecretRef(CHANNEL_FILE_SECRET + name)) for name in watching.channels),
    ]
    blob, tree = _runtime(place, watching.runtime)
    service = Service(
        place=place.host,
        entity=WATCH,
        because=BECAUSE,
        needs=(*(item.key for item in (*folders, *inputs, tree)), *keys),
        name="watch",
        argv=(f"{tree.path}/bin/python", "-m", "cortops.cli", "watch", place.file, "--on", place.host, "--port", str(place.port)),
        directory=place.root,
        log_path=f"{place.root}/log/watch.log",
        owner=env.owner_of(WATCH),
        ports=(place.port,),
        restart_on=tuple(item.key for item in inputs),
    )
    return (*folders, *inputs, *_for_upgrades(env, watching), blob, tree, service)


def _for_upgrades(env: Environment, watching: Watching) -> tuple[Resource, ...]:
    """What an upgrade that is handed over finds there."""
    if not watching.acting or watching.own is None:
        return ()
    place, every = watching.place, {**watching.logins, watching.place.host: watching.own}
    return (
        *(_folder(place, f"{place.home}{path}") for path in ("", "/.ssh", "/cache", "/cache/artifacts")),
        _file(place, f"{place.home}/.ssh/config", ssh_config(env, every, key=place.acting_key)),
        _file(place, f"{place.home}/.ssh/known_hosts", known_hosts(every)),
    )


def _folder(place: WatchPlace, path: str, *, keep: bool = False) -> Directory:
    parent = path.rpartition("/")[0]  # the root is there before any plan is made: it holds the lock
    needs = () if parent == place.root else (f"{place.host} directory:{parent}",)
    return Directory(place=place.host, entity=WATCH, because=BECAUSE, needs=needs, path=path, mode=0o700, keep=keep)


def _file(place: WatchPlace, path: str, *content: str | SecretRef) -> File:
    needs = (f"{place.host} directory:{path.rpartition('/')[0]}",)
    return File(place=place.host, entity=WATCH, because=BECAUSE, needs=needs, path=path, content=content, mode=0o600)


def _runtime(place: WatchPlace, made: Runtime) -> tuple[Blob, Tree]:
    blob = Blob(
        place=place.host,
        entity=WATCH,
        because=BECAUSE,
        needs=(f"{place.host} directory:{place.root}/blobs",),
        path=f"{place.root}/blobs/runtime-{made.sha256[:16]}",
        release=RELEASE,
        sha256=made.sha256,
        size=made.size,
    )
    tree = Tree(
        place=place.host,
        entity=WATCH,
        because=BECAUSE,
        needs=(f"{place.host} directory:{place.root}/runtime", blob.key),
        path=f"{place.root}/runtime/{made.sha256[:16]}",
        archive=blob.path,
        sha256=made.sha256,
        size=made.size,
        python=made.python,
        machine=made.machine,
    )
    return blob, tree


def ssh_config(env: Environment, logins: Mapping[str, Login], *, key: str = "") -> str:
    """What SSH there needs to know: each host under the name that the environment file calls it by. key: its IdentityFile."""
    blocks = []
    identity = f"  IdentityFile {key}\n" if key else ""
    for name, login in logins.items():
        called = SshAddress.read(env.hosts[name].ssh or "").host
        blocks.append(f"Host {called}\n  HostName {login.address}\n  Port {login.port}\n  User {login.user}\n{identity}")
    return "".join(blocks)


def known_hosts(logins: Mapping[str, Login]) -> str:
    """The key of each host, as it was verified when the watch was installed; others are never trusted."""
    lines = {f"{key_name(login.address, login.port)} {login.host_key}" for login in logins.values()}
    return "".join(f"{line}\n" for line in sorted(lines))


def logins_text(logins: Mapping[str, Login]) -> str:
    """How hosts were reached, as the next install reads it."""
    return json.dumps({name: asdict(one) for name, one in sorted(logins.items())}, indent=1) + "\n"


def public_half(text: str) -> str:
    """A public key as `ssh-keygen` writes it, without its comment; NO_KEY for none. BadInput for another kind."""
    if not text.strip():
        return NO_KEY
    found = _PUBLIC.match(text.strip())
    if found is None:
        raise BadInput(f"{text.strip()[:40]!r} is no ed25519 key of a watch", next="cortops watch --uninstall HOST, then install it anew.")
    return found[0]
