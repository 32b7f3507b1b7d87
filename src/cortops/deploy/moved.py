"""A program that was moved to another host: it does not start there while it may still run where it was. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from cortops.deploy.observed import Absent, Desired, Observed, Unseen
from cortops.words.resource import Service


def hold_moved(
    observed: Mapping[str, Observed], desired: Iterable[Desired], recorded: Iterable[Desired], places: Collection[str]
) -> dict[str, Observed]:
    """What was seen; a service that is to be made is blocked where the same one is recorded on a place that could not be looked at.

    One key on one host: two that act with it block each other, or are slashed. places: those that are declared; of one that is not, its
    operator has said that it is gone.
    """
    unseen: dict[str, tuple[str, str]] = {}
    for item in recorded:
        seen = observed.get(item.resource.key)
        if isinstance(item.resource, Service) and isinstance(seen, Unseen) and item.resource.place in places:
            unseen[item.resource.name] = (item.resource.place, seen.why)
    held = dict(observed)
    for item in desired:
        resource = item.resource
        if isinstance(resource, Service) and resource.name in unseen and isinstance(observed.get(resource.key), Absent):
            place, why = unseen[resource.name]
            if place != resource.place:
                held[resource.key] = Absent(
                    blocked=f"{resource.name} may still run on {place}, which could not be looked at: {why}. "
                    f"Take {place} out of the file once it is gone for good"
                )
    return held
