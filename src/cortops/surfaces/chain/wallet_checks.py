"""How long the wallets' gas lasts, in days, at the rate at which it went. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cortops.environment.declared import Environment
from cortops.surfaces.chain import asks
from cortops.surfaces.chain.reading import Reading
from cortops.surfaces.nodes.gas import PAGE_DAYS, Balance, Gas, gas
from cortops.surfaces.readings import bad, inconclusive, ok
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Reply

ETHER = 10**18


def checks(env: Environment, site: Site) -> Iterator[Check]:
    """One of each wallet of ours that pays for gas."""
    for name, address in asks.wallet_addresses(env, site).items():
        entity = Entity("wallet", name)
        judge = gas_of(asks.GAS, (address,), env.network.limits.gas_days_min)
        owner = env.owner_of(entity)
        yield Check(entity=entity, name="gas", asks=(asks.GAS,), judge=judge, owner=owner, severity="ticket", makes="degraded")


def gas_of(asked: str, addresses: Sequence[str], days_min: float) -> Judge:
    """Judge over several wallets that can stand in for each other: the one that lasts longest counts."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        reading = Reading(replies=replies)
        body = reading.body(asked, "what the wallets hold")
        if (told := reading.verdict) is not None:
            return told
        found = [gas(rows) for address in addresses if (rows := balances(body.get(address)))]
        if not found:
            return inconclusive("what it holds is not known")
        best = max(found, key=lambda one: (float("inf") if one.days is None and one.wei else one.days or 0.0, one.wei))
        return _verdict(best, days_min)

    return judge


def balances(rows: object) -> list[Balance]:
    """As Holdings gives them, oldest first."""
    return [Balance(float(at), int(wei)) for at, wei in rows] if isinstance(rows, list) else []


def _verdict(found: Gas, days_min: float) -> Verdict:
    held = f"{found.wei / ETHER:.4g}"
    if found.wei == 0:
        return bad("is empty: it can pay for no transaction")
    if found.days is None:
        return ok(f"holds {held}; how long that lasts is not known: {found.why}")
    text = f"{days_text(found.days)} left (holds {held})"
    if found.days < min(PAGE_DAYS, days_min):
        return bad(f"{text}: top it up today")
    return bad(f"{text}: less than the {days_min:g} d declared") if found.days < days_min else ok(text)


def days_text(days: float) -> str:
    """`9 d`, `5 h`."""
    return f"{days:.0f} d" if days >= 2 else f"{days * 24:.0f} h"
