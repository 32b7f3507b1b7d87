"""`cortops secrets`: what an environment's secrets are, never their values."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cortops.cli.common import Common, environment
from cortops.cli.notify import secret_store
from cortops.cli.output import show, show_json, table
from cortops.cli.secrets_check import check_
from cortops.cli.secrets_rotate import rotate_
from cortops.deploy.limits import demand_allowed
from cortops.deploy.lock import this_process
from cortops.deploy.secrets import OLD_MARK, IndexEntry, SecretStore
from cortops.deploy.secrets_of import secrets_of
from cortops.deploy.secrets_sealed import Sealed, identity_path
from cortops.deploy.wanted import Kind, Wanted
from cortops.environment.declared import Environment
from cortops.words.errors import BadInput

VALUE_MAX_BYTES = 64 * 1024

__all__ = ["check_", "identity_", "list_", "remove_", "rotate_", "seal_", "set_"]


def list_(file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Name, kind, source, fingerprint and public part of each secret; those not yet made too."""
    env = environment(file, common)
    store = secret_store(env, common)
    index = {entry.name: entry for entry in store.index()}
    wanted = secrets_of(env)
    known = {want.name for want in wanted}
    old = [Wanted(name=name, kind=entry.kind) for name, entry in index.items() if OLD_MARK in name and name.partition(OLD_MARK)[0] in known]
    rows = [_row(env, want, index) for want in (*wanted, *old)]
    if common.json:
        show_json(rows)
        return 0
    cells = [
        (str(row["name"]), str(row["kind"]), str(row["source"]), _day(row), str(row["fingerprint"]), str(row["public"])) for row in rows
    ]
    show(table([("NAME", "KIND", "FROM", "SINCE", "FINGERPRINT", "ADDRESS"), *cells]))
    return 0


def set_(name: str, file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Keep a value, read from standard input, so that it never stands in an argument list."""
    env = _of_who_may(file, common)
    known = {want.name: want for want in secrets_of(env)}
    if name not in known:
        raise BadInput(f"{env.name} wants no secret {name}", next=f"it wants: {', '.join(known)}")
    if (outside := known[name].outside) is not None:
        raise BadInput(f"{name} is not kept here: it comes from {outside.told}", where=outside.cited, next="Set it there.")
    kind = known[name].kind
    secret_store(env, common).set(name, sys.stdin.read(VALUE_MAX_BYTES + 1).strip(), kind)
    if common.json:
        show_json({"name": name, "kind": kind})
    else:
        show(f"{name} is kept; the next apply puts it where it is used.")
    return 0


def remove_(name: str, file: Path | None = None, /, *, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Forget an old value, NAME@TIME of `list`, or one that comes from elsewhere now. What the environment uses is never removed."""
    env = _of_who_may(file, common)
    elsewhere = [want.name for want in secrets_of(env) if want.outside is not None]
    if OLD_MARK not in name and name not in elsewhere:
        raise BadInput(f"{name} is no old value", next="cortops secrets list names those as NAME@TIME; others are replaced: secrets set")
    secret_store(env, common).remove(name)
    if common.json:
        show_json({"removed": name})
    else:
        show(f"{name} is forgotten. Copies of the age file may hold it still.")
    return 0


def identity_(*, common: Common = Common()) -> int:  # noqa: B008 — frozen
    """Your line for rules.secrets.recipients; the identity behind it is made when there is none yet, and stays on this machine."""
    path = identity_path(os.environ)
    made = not path.exists()
    recipient = Sealed(file=path.parent / "none", identity=path).make_identity()
    if common.json:
        show_json({"recipient": recipient, "identity": str(path), "made": made})
        return 0
    show(recipient)
    sys.stderr.write(f"{'made' if made else 'of'} {path}: whoever has that file reads what is sealed for you; keep a copy elsewhere.\n")
    return 0


def seal_(
    file: Path | None = None,
    /,
    *,
    source: Annotated[Path | None, Parameter(name="--from")] = None,
    common: Common = Common(),  # noqa: B008 — frozen
) -> int:
    """Write the age file anew where rules.secrets says, for whom it names, with what lies in the old place.

    Parameters
    ----------
    file
        The environment file; default ./cortops.yaml, else the bundled local.yaml.
    source
        An age file that your identity opens, to take secrets from; default the one of this machine, which is removed afterwards.
    """
    env = _of_who_may(file, common)
    store = secret_store(env, common)
    before = _sealed_for(store)
    came = store.seal(Sealed(file=source, identity=identity_path(os.environ)) if source else None)
    sealed = store.sealed
    count = len(sealed.recipients) or 1
    if common.json:
        show_json({"file": str(sealed.file), "recipients": count, "moved": list(came)})
        return 0
    show(f"{sealed.file} holds {len([name for name in store.names() if OLD_MARK not in name])} secrets, sealed for {count}.")
    if came:
        show(f"{len(came)} came from {source or 'this machine'}: {', '.join(came)}")
    if before > count:
        show("Whoever could open it before knows these values: make them anew.    next: cortops secrets rotate NAME")
    return 0


def _of_who_may(file: Path | None, common: Common) -> Environment:
    env = environment(file, common)
    demand_allowed(this_process().who, env.rules.apply.by, where=env.file)
    return env


def _sealed_for(store: SecretStore) -> int:
    return store.sealed.recipients_sealed() if store.sealed.file.exists() else 0


def _row(env: Environment, want: Wanted, index: Mapping[str, IndexEntry]) -> dict[str, object]:
    entry = index.get(want.name)
    source = want.outside.told if want.outside is not None else env.rules.secrets.file or "this machine"
    public = entry.public if entry and want.kind is Kind.WALLET else want.outside.address if want.outside else ""
    return {
        "name": want.name,
        "kind": want.kind,
        "source": source,
        "public": public,
        "fingerprint": entry.fingerprint if entry else "",
        "created_at": entry.created_at if entry else None,
    }


def _day(row: Mapping[str, object]) -> str:
    at = row["created_at"]
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC") if isinstance(at, float) else "not yet"
