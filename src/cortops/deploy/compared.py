"""What is compared of resources that are on no target: on chain, in a zone, at an authority, or there before us. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cortops.deploy.acme.plan import CERTIFICATE_WELL
from cortops.deploy.chain_driver import attributes_of
from cortops.deploy.fleet_driver import attributes_of as fleet_attributes
from cortops.deploy.names.zone import dns_attributes
from cortops.words.resource import Certificate, Contract, ContractState, Cortensord, DnsRecord, Funded, Resource


def compared(resource: Resource) -> Mapping[str, str] | None:
    """The attributes, None for what a target holds."""
    match resource:
        case Cortensord():
            return fleet_attributes(resource)
        case Contract() | ContractState() | Funded():
            return attributes_of(resource)
        case DnsRecord():
            return dns_attributes(resource)
        case Certificate():
            return CERTIFICATE_WELL
        case _:
            return None
