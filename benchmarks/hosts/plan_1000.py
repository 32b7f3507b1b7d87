"""A plan for 1,000 hosts in a fresh process: the file read, everything rendered, compared with what all hosts answer, and planned.

`python -m benchmarks.hosts.plan_1000 FILE`: prints seconds and MiB as JSON. The answers are made up: half of the hosts are as declared, the
other half lack one service each. `text` writes the file.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

BEGUN = time.perf_counter()

from cortops import surfaces  # noqa: E402 — loading is part of what is measured
from cortops.deploy.kinds import desire  # noqa: E402
from cortops.deploy.observed import Absent, Desired, Observed, Present  # noqa: E402
from cortops.deploy.plan import plan  # noqa: E402
from cortops.environment.declared import Environment  # noqa: E402
from cortops.environment.load import load  # noqa: E402
from cortops.surfaces.site import HostSite, RuntimeArchive, Site, runtime_folder  # noqa: E402
from cortops.targets.systemd import Systemd  # noqa: E402
from cortops.words.resource import Content, Resource, Service  # noqa: E402

HOSTS = 1000
_ROOT = "/var/lib/cortops-programs/large"
_ARCHIVE = RuntimeArchive(sha256="5a" * 32, size=30_000_000, python="3.11", machine="x86_64")


def text(first: int = 1, hosts: int = HOSTS, ssh: str = "h{n}.bench.example") -> str:
    """The environment file: a host is a name of a range that begins with `first`, and on each stands one service with three files."""
    numbers = f"{first}-{first + hosts - 1}"
    return f"""format: 1
environment: large
owners: {{default: ops@bench.example}}
hosts:
  h[{numbers}]: {{ssh: "{ssh}", sudo: true}}
network:
  chain_id: 31338
  rpc: {{url: "http://127.0.0.1:8545"}}
  contracts: {{runtime: "0xa438cE917a5740267e0f7217f81cbbAA23E7e106"}}
nodes:
  s[{numbers}]:
    {{role: object-store, host: "h{{n}}", port: 9000, program: /usr/bin/python3,
     arguments: [-m, http.server, "--directory={{files}}", "--bind={{address}}", "{{port}}"],
     files: {{a.conf: "a = 1", b.conf: "b = 2", c.conf: "c = 3"}}}}
"""


def observed(desired: list[Desired]) -> dict[str, Observed]:
    """As declared, but for the service of every other host, which is missing."""
    found: dict[str, Observed] = {}
    for item in desired:
        thing = item.resource
        gone = isinstance(thing, Service) and int(thing.name.lstrip("s") or 0) % 2 == 0
        found[thing.key] = Absent() if gone else Present(item.attributes)
    return found


def filled(content: Content) -> bytes:
    """There is no secret in it."""
    return "".join(map(str, content)).encode()


def planned(file: Path) -> int:
    """How many changes there are."""
    env = load(file.read_text(), str(file))
    assert isinstance(env, Environment), env
    manager = Systemd(_ROOT, prefix="cortops-large.")
    python = f"{runtime_folder(_ROOT, _ARCHIVE.sha256)}/bin/python"
    sites = {
        name: HostSite(
            name=name,
            root=_ROOT,
            python=python,
            nginx="",
            machine="x86_64",
            user="root",
            services_script=manager.status_script,
            runtime=_ARCHIVE,
        )
        for name in env.own_hosts
    }
    by_host: dict[str, list[Resource]] = {}
    for thing in surfaces.render(env, Site(hosts=sites, public={})):
        by_host.setdefault(thing.place, []).append(thing)
    desired = [item for group in by_host.values() for item in desire(group, filled, manager)]
    return len(plan(env.name, desired, observed(desired), desired, "1").changes)


def main() -> None:
    """Plan and say what it took."""
    changes = planned(Path(sys.argv[1]))
    elapsed_s = time.perf_counter() - BEGUN
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"s": elapsed_s, "cpu_s": time.process_time(), "rss_mib": mib, "changes": changes}) + "\n")


if __name__ == "__main__":
    main()
