"""Certificates by ACME: whether one is there and has time left, and what an apply does in two parts. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from cortops.deploy.observed import Absent, Observed, Present
from cortops.deploy.wanted import Entry
from cortops.environment.certificates import STAND_IN
from cortops.environment.crosscheck_secrets import AUTHORITY
from cortops.surfaces.proxy.certificates import PLACE
from cortops.words.change import Plan
from cortops.words.entity import Entity
from cortops.words.evidence import Check
from cortops.words.resource import Certificate

CERTIFICATE_WELL: Mapping[str, str] = {"days_left": "enough"}
CERTIFICATE_CHECKS = ("certificate", "renewal")  # of proxy/HOSTNAME (surfaces.proxy.checks)
_KIND = "certificate:"

__all__ = ["CERTIFICATE_CHECKS", "CERTIFICATE_WELL", "PLACE", "obtaining", "once_obtained", "seen", "without_certificates"]


def seen(certificate: Certificate, entries: Mapping[str, Entry], now: float) -> Observed:
    """What is kept of one. A stand-in, or one of the local authority, is none."""
    from cortops.deploy import authority, certificates  # bring cryptography

    entry = entries.get(certificate.secret)
    if entry is None or not entry.public or entry.public.startswith(STAND_IN):
        return Absent()
    signer = entries.get(AUTHORITY)
    if signer is not None and authority.issued_by(entry.public, signer.public):
        return Absent()
    if not authority.covers(entry.public, [certificate.hostname]):
        return Absent()
    return Present({"days_left": certificates.due(entry.public, now) or CERTIFICATE_WELL["days_left"]})


def obtaining(plan: Plan) -> frozenset[Entity]:
    """The hostnames whose certificates a plan obtains: once it is made, their files and a reload follow."""
    names = (change.resource.removeprefix(_KIND) for change in plan.changes if change.resource.startswith(_KIND))
    return frozenset(Entity("proxy", name) for name in names)


def once_obtained(plan: Plan) -> Plan:
    """The plan of the second part: it asks for no certificate again, however short the life is that the authority gave it."""
    return replace(plan, changes=tuple(change for change in plan.changes if change.target != PLACE))


def without_certificates(checks: Collection[Check], waiting: Collection[Entity]) -> tuple[Check, ...]:
    """The checks that can be well before the certificates of `waiting` are there."""
    return tuple(check for check in checks if check.entity not in waiting or check.name not in CERTIFICATE_CHECKS)
