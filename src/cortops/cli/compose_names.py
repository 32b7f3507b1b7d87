"""The drivers of names and certificates: a zone each, and the authority; made only where the environment declares them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from cortops.deploy.observed import Driver
from cortops.deploy.secrets import SecretStore
from cortops.deploy.secrets_of import beside
from cortops.deploy.wanted import SecretView
from cortops.environment.declared import Environment
from cortops.environment.dns import server_place, zone_of
from cortops.surfaces.dns.render import PLACE as DNS
from cortops.surfaces.proxy.render import challenge_folder
from cortops.surfaces.site import HostSite
from cortops.targets.target import Target
from cortops.words.clock import Clock
from cortops.words.errors import StepFailed

if TYPE_CHECKING:
    from cortops.deploy.acme.driver import Account, Shows
    from cortops.deploy.names.dns_driver import DnsDriver


def names_drivers(
    env: Environment, view: SecretView, secrets: SecretStore, targets: Mapping[str, Target], sites: Mapping[str, HostSite], clock: Clock
) -> dict[str, Driver]:
    """Place -> driver: `dns/ZONE` of each zone, `acme` of the authority."""
    drivers: dict[str, Driver] = {}
    zones = _zones(env, clock)
    drivers.update({f"{DNS}{zone}": driver for zone, driver in zones.items()})
    if env.acme is not None:
        from cortops.deploy.acme.driver import AcmeDriver

        shows = _shows(env, zones, targets, sites, clock)
        acme = AcmeDriver(view.entries, partial(_account, env, view), shows, secrets.obtained, clock)
        drivers[acme.place] = acme
    return drivers


def _zones(env: Environment, clock: Clock) -> dict[str, DnsDriver]:
    if env.dns is None:
        return {}
    from cortops.deploy.names.dns_driver import DnsDriver, ZonePlace  # brings dnspython

    found = {}
    for zone, kept in env.dns.zones.items():
        path = beside(env, kept.zone_file or f"{kept.octodns}/{zone}.yaml")
        place = ZonePlace(zone=zone, path=path, octodns=kept.octodns is not None, publish=kept.publish, folder=beside(env, "."))
        found[zone] = DnsDriver(f"{DNS}{zone}", place, env.name, clock)
    return found


def _account(env: Environment, view: SecretView) -> Account:
    import cortops

    try:
        from cortops.deploy.acme.account import AcmeAccount  # brings certbot's library and requests
    except ModuleNotFoundError as error:
        raise StepFailed(f"tls: acme needs the package {error.name}, an extra: pip install 'cortops[acme]'") from error
    assert env.acme is not None
    acme = env.acme
    secret = view.value(acme.account.secret, for_apply=True)
    trust = beside(env, acme.trust) if acme.trust is not None else None
    if trust is not None and not trust.is_file():
        raise StepFailed(f"{trust} is not there, by which acme.directory is trusted")
    return AcmeAccount(acme.directory, secret, acme.contact, trust=trust, agent=f"cortops/{cortops.__version__}")


def _shows(
    env: Environment, zones: Mapping[str, DnsDriver], targets: Mapping[str, Target], sites: Mapping[str, HostSite], clock: Clock
) -> Shows:
    from cortops.deploy.acme.driver import ByDns, ByHttp

    assert env.acme is not None
    if env.acme.challenge == "http-01" or env.dns is None:
        return ByHttp(targets, {name: challenge_folder(site.root) for name, site in sites.items()})
    from cortops.deploy.acme.by_dns import Shown

    dns = env.dns
    servers = tuple(place for text in dns.servers if (place := server_place(text)) is not None)
    shown = Shown(lambda name: zones[zone_of(dns, name)], servers, clock)
    return ByDns(shown.put, shown.drop)
