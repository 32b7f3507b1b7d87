"""The files that an environment file names beside itself: certificates and zones, read and judged as `validate` tells it."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.deploy.secrets_of import beside
from cortops.environment.declared import Environment
from cortops.environment.reason import Path, Reason, path_text
from cortops.words.errors import BadInput

CHAIN_MAX_BYTES = 64 * 1024


def reasons_of(env: Environment, now: float) -> tuple[Reason, ...]:
    """Every reason why one of them cannot be used, in the order of the file; keys are secrets, and are looked at by a plan. now: seconds
    since 1970.
    """
    found = (*_certificates(env, now), *_zones(env))
    reasons = []
    for path, what, instead in found:
        position = env.position(path)
        reasons.append(Reason(position.line, position.column, path_text(path), what, instead))
    return tuple(sorted(reasons, key=lambda reason: (reason.line, reason.column)))


def _certificates(env: Environment, now: float) -> Iterator[tuple[Path, str, str]]:
    for hostname, route in env.proxy.items():
        if not isinstance(route.tls.certificate, str):
            continue
        from cortops.deploy import certificates  # brings cryptography

        path, file = ("proxy", hostname, "tls", "certificate"), beside(env, route.tls.certificate)
        try:
            with file.open("rb") as opened:
                chain = opened.read(CHAIN_MAX_BYTES).decode("ascii", "replace")
        except OSError as error:
            yield path, f"names {file}, which cannot be read: {error.strerror or error}", "Put the certificate there, or name where it is."
            continue
        for why in certificates.why_not(chain, None, [hostname], now):
            yield path, f"cannot be used: {why}", "Put one there that serves this hostname."


def _zones(env: Environment) -> Iterator[tuple[Path, str, str]]:
    for zone, kept in env.dns.zones.items() if env.dns is not None else ():
        from cortops.deploy.names.dns_driver import read_zone  # brings dnspython

        key = "zone-file" if kept.zone_file is not None else "octodns"
        file = beside(env, kept.zone_file or f"{kept.octodns}/{zone}.yaml")
        try:
            read_zone(file, zone, octodns_kept=kept.octodns is not None)
        except BadInput as error:
            yield ("dns", "zones", zone, key), error.what, "Name the file of this zone, as its DNS server or octoDNS reads it."
