"""`cortops validate`: an environment file, every mistake at once."""

from __future__ import annotations

from pathlib import Path

from cortops.cli.common import Common, find_file
from cortops.cli.output import joined, show, show_json
from cortops.environment.declared import Environment
from cortops.environment.dials import needed_elsewhere
from cortops.environment.load import load_file
from cortops.environment.reason import Invalid
from cortops.words.clock import SystemClock

BAD_INPUT = 2


def validate(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Check an environment file; exit 2 with every mistake, its place and what to write instead.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    """
    loaded = _with_files(load_file(find_file(file)))
    reasons = loaded.reasons if isinstance(loaded, Invalid) else ()
    if common.json:
        fields = ("line", "column", "path", "what", "instead")
        show_json({"valid": not reasons, "reasons": [{name: getattr(reason, name) for name in fields} for reason in reasons]})
    elif isinstance(loaded, Invalid):
        show(loaded.text)
    else:
        count, installed = len(loaded.nodes) + len(loaded.installed), len(loaded.installed)
        told = f", {installed} of them as their operator installed them" if installed else ""
        show(f"{loaded.file} is valid: environment {loaded.name}, {len(loaded.hosts)} hosts, {count} nodes{told}.")
        if crossing := _crossing(loaded):
            show(f"Other hosts connect to {joined(crossing)} in plain HTTP: the network of hosts.*.address is trusted.")
    return BAD_INPUT if reasons else 0


def _with_files(loaded: Environment | Invalid) -> Environment | Invalid:
    """What the file says, and whether the certificates and zones that it names are such."""
    if isinstance(loaded, Invalid) or not (loaded.dns or any(route.tls.by == "files" for route in loaded.proxy.values())):
        return loaded
    from cortops.deploy.files_named import reasons_of  # most files name none

    reasons = reasons_of(loaded, SystemClock().now())
    return Invalid(loaded.file, reasons) if reasons else loaded


def _crossing(env: Environment) -> list[str]:
    """The programs that listen for others on another host, in the order of the file."""
    needed = needed_elsewhere(env) | needed_elsewhere(env, links=True)
    ours = [section.NAME for section in (env.gateway, env.portal) if section is not None]
    return [name for name in (*env.nodes, *ours) if name in needed]
