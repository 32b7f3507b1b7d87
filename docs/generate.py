"""Writes the reference pages that come from the code: `make docs`. A test compares them, so none goes stale."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cortops import surfaces
from cortops.cli import build
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.wanted import SecretView
from cortops.environment import reference
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.protocol import openapi, openapi_page
from cortops.surfaces.site import HostSite, Site
from cortops.targets import supervisord, systemd
from cortops.words import errors
from cortops.words.errors import CortopsError
from cortops.words.resource import Service

FOLDER = Path(__file__).resolve().parent / "reference"
NOTE = "Written from the code by `make docs`: do not edit it here.\n"
EXITS = """Results go to standard output, progress to standard error.
Exit: 0 done or nothing to do, 1 failed, 2 bad input, 3 changes pending or attention needed, 130 interrupted.
"""

FOREIGN = """\
  database-1: {role: database, host: here, port: 5432, program: /bin/true}
  store-1:    {role: object-store, host: here, port: 9100, program: /bin/true}
  relay-1:    {role: rpc-relay, host: here, port: 8600, program: /bin/true, depends_on: [chain-1]}
  ipfs-1:     {role: ipfs, host: here, port: 5001, program: /bin/true}
"""
PORTAL = "portal: {on: here, port: 8700}"
UNNAMED = {"proxy": "", "portal": "", "monitor": " and dashboard"}  # services that have one name everywhere
ROLES = f"""\
What each has, of our programs and of [those of others](../guides/roles.md). `ROOT` is the environment's folder on
the host, `NAME` the node's name.

- **Unit**: `cortops-ENVIRONMENT.NAME.service` under systemd, the program `NAME` under supervisord on this machine.
- **Restart**: always, after {systemd.RESTART_S} s, under systemd; under supervisord at once, and given up as fatal after
  {supervisord.START_RETRIES} starts that did not last {supervisord.START_S} s.
  A change of what a service reads (settings, files, secrets, release) restarts it, in its wave.
- **Owner**: the node's `owner`, else `owners` by name, by role, then the default; a service without one is a mistake in the file.
- **Rotation**: looked at every {systemd.ROTATE_EVERY_MIN} minutes under systemd, at the very size under supervisord.
- **Checks**: asked by `status`, by the gate of every apply, and by `watch` all the time.
"""


def pages() -> dict[str, str]:
    """File name in docs/reference -> its text."""
    return {
        "api.md": f"# API of the gateway\n\n{NOTE}\n{openapi_page.page(openapi.build())}",
        "command-line.md": command_line(),
        "environment-file.md": reference.page(),
        "errors.md": error_page(),
        "roles.md": role_page(),
    }


def command_line() -> str:
    """Every verb with its arguments, as `--help` shows them."""
    with _called("cortops"):
        told = build().generate_docs(output_format="markdown")
    title, _, rest = told.partition("\n")
    return f"{title}\n\n{NOTE}\n{EXITS}{rest.rstrip()}\n"


@contextmanager
def _called(name: str) -> Iterator[None]:
    """A group that is loaded when it is called takes the program's name from the command line."""
    kept, sys.argv = sys.argv, [name]
    try:
        yield
    finally:
        sys.argv = kept


def error_page() -> str:
    """Every error: its code, the exit status, and the cure."""
    kinds = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, CortopsError)]
    rows = [f"| `{kind.code}` | {kind.exit_status} | {(kind.__doc__ or '').strip()} |" for kind in kinds]
    shape = 'With `--json`: `{"code", "what", "where", "why", "next"}`; `next` is a better cure than the one here when there is one.\n'
    head = f"# Errors\n\n{NOTE}\nWhat went wrong, where, why, and what to do next.\n{shape}"
    return "\n".join([head, "| Code | Exit | What to do |", "|---|---|---|", *rows, ""])


def role_page() -> str:
    """Every role with its unit, restart, log, rotation, owner and checks: read off an environment that has one of each."""
    text = (FOLDER.parents[1] / "examples" / "local.yaml").read_text().replace("\nnodes:\n", f"\nnodes:\n{FOREIGN}", 1)
    text = text if "\nportal:" in text else text.replace("\nproxy:", f"\n{PORTAL}\nproxy:", 1)
    env = load(text, "local.yaml")
    assert isinstance(env, Environment)
    wanted = SecretView(environment=env.name, wanted=secrets_of(env), entries={}, now=0)
    host = HostSite(name="here", root="ROOT", python="", nginx="", machine="x86_64", user="", services_script="")
    site = Site(hosts={"here": host}, public={want.name: wanted.public(want.name) for want in wanted.wanted})
    checks = surfaces.checks(env, site)
    rows: dict[str, str] = {}
    for service in (item for item in surfaces.render(env, site) if isinstance(item, Service)):
        role = env.nodes[service.name].role if service.name in env.nodes else service.entity.kind
        judged = ", ".join(dict.fromkeys(check.name for check in checks if check.entity == service.entity))
        entity = f"`{service.entity.kind}/NAME`"
        unit = f"`{service.name}`" if role in UNNAMED else "`NAME`"
        log = service.log_path.replace(service.name, service.name if role in UNNAMED else "NAME")
        rotated = f"at {service.log_max_mib} MiB, {service.log_keep} kept"
        stop = f"SIG{service.stop_signal}, killed after {service.stop_timeout_s} s"
        rows.setdefault(role, f"| {role}{UNNAMED.get(role, '')} | {entity} | {unit} | {stop} | `{log}` | {rotated} | {judged} |")
    head = f"# Roles\n\n{NOTE}\n{ROLES}"
    return "\n".join(
        [head, "| Role | Entity | Unit | Stopped by | Log | Rotated | Checks |", "|---|---|---|---|---|---|---|", *rows.values(), ""]
    )


def main() -> None:
    """Write each page that differs, and say which."""
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"written: docs/reference/{name}")


if __name__ == "__main__":
    main()
