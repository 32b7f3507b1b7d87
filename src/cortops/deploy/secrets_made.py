"""How a secret comes to be: made here by its kind, or given by people and read."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cortops.contracts import wallet
from cortops.deploy.wanted import Entry, Kind, Outside, Wanted
from cortops.words.errors import BadInput, SecretMissing

VALUE_MAX_BYTES: Final = 64 * 1024
TOKEN_BYTES: Final = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")


def made(want: Wanted, entries: Mapping[str, Entry], environment: str, now: float, random_bytes: Callable[[int], bytes]) -> Entry:
    """A new secret of its kind; entries: those that are there, a certificate's authority among them. now: seconds since 1970."""
    from cortops.deploy import authority  # brings cryptography, which reading does without

    if want.kind is Kind.WALLET:
        key = wallet.new_private_key(random_bytes(32))
        return Entry(value=key, kind=want.kind, public=wallet.address_of(key), created_at=now)
    if want.kind is Kind.TOKEN:
        token = base64.urlsafe_b64encode(random_bytes(TOKEN_BYTES)).decode().rstrip("=")
        return Entry(value=token, kind=want.kind, public="", created_at=now)
    if want.kind is Kind.AUTHORITY:
        issued = authority.make_authority(environment, now, random_bytes)
    elif want.acme:
        issued = authority.stand_in(want.hosts, now, random_bytes)
    else:
        signer = entries.get(want.signed_by)
        if signer is None:
            raise SecretMissing(f"the certificate {want.name} needs the authority {want.signed_by or '(none named)'}, which is not there")
        issued = authority.issue(authority.Issued(certificate=signer.public, key=signer.value), want.hosts, now, random_bytes)
    return Entry(value=issued.key, kind=want.kind, public=issued.certificate, created_at=now)


def given(name: str, value: str, kind: Kind, now: float) -> Entry:
    """A value that comes from outside; of `authority` and `certificate` one PEM text with certificates and key. BadInput for no such."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise BadInput(f"{name!r} is no name for a secret: letters, digits, and . _ / - between them, at most 128")
    if not 0 < len(value.encode()) <= VALUE_MAX_BYTES:
        raise BadInput(f"the value of {name} must hold 1 to {VALUE_MAX_BYTES} bytes")
    public = ""
    if kind is Kind.WALLET:
        public = wallet.address_of(value)
    elif kind is Kind.AUTHORITY:
        from cortops.deploy import authority

        issued = authority.read(value)
        value, public = issued.key, issued.certificate
    elif kind is Kind.CERTIFICATE:
        from cortops.deploy import certificates

        issued = certificates.pair(value)
        value, public = issued.key, issued.certificate
    return Entry(value=value, kind=kind, public=public, created_at=now)


def joined(want: Wanted, outside: Outside, values: Sequence[str], now: float) -> Entry:
    """A certificate of files: its chain (a file, or the first of `values`) and its key (the last). BadInput with all that is wrong.

    It has no value of its own: the key is a secret under its own name.
    """
    from cortops.deploy import certificates

    chain, cure = values[0], "Correct what is named, and run the same command again."
    if outside.file:
        try:
            with Path(outside.file).open("rb") as file:
                chain = file.read(VALUE_MAX_BYTES + 1).decode("ascii", "replace")
        except OSError as error:
            raise BadInput(f"{outside.file} cannot be read: {error.strerror or error}", where=outside.cited, next=cure) from error
    if reasons := certificates.why_not(chain, values[-1], want.hosts, now):
        what = f"the certificate of {want.hosts[0]} cannot be used: {'; '.join(reasons)}"
        raise BadInput(what, where=outside.cited, next=cure)
    issued = certificates.pair(f"{chain}\n{values[-1]}")
    return Entry(value="", kind=Kind.CERTIFICATE, public=issued.certificate, created_at=now)
