"""What a router has for agents: paid calls, MCP and A2A, each only where declared. Their libraries are imported here and no sooner."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from cortops.programs.common.logs import Log
from cortops.programs.router.doors import Door
from cortops.programs.router.offers import Family, Offers
from cortops.programs.router.trial import Trial
from cortops.protocol.settings import RouterSettings
from cortops.words.clock import Clock
from cortops.words.errors import BadInput

if TYPE_CHECKING:
    from cortops.programs.router.x402 import Payments


@asynccontextmanager
async def doors_for_agents(
    settings: RouterSettings, offers: Offers, trial: Trial | None, clock: Clock, log: Log
) -> AsyncIterator[tuple[Door, ...]]:
    """The doors of the REST port while inside; MCP is served on its own. Raises BadInput for settings that do not fit, PortTaken.

    trial: whoever counts free calls, None where there are none.
    """
    async with AsyncExitStack() as stack:
        try:
            doors: list[Door] = []
            payments = await _payments(settings, offers, clock, log, stack) if settings.x402 else None
            if payments is not None:
                from cortops.programs.router.x402 import PaidDoor

                doors.append(PaidDoor(payments))
            if settings.a2a:
                from cortops.programs.router.a2a import agent

                doors.append(await stack.enter_async_context(agent(settings, offers, log)))
            if settings.mcp:
                from cortops.programs.router.mcp import Tools, serving

                tools = Tools(settings=settings, offers=offers, payments=payments, trial=trial)
                port = await stack.enter_async_context(serving(tools, lambda: secrets.token_hex(16)))
                log.info("serving_mcp", mcp=f"{settings.mcp_bind_ips[-1]}:{port}")
        except ModuleNotFoundError as error:
            what = f"the router cannot start what it has for agents: {error}"
            raise BadInput(what, where="env file", next="Install cortops with its extra `agents`.") from error
        yield tuple(doors)


async def _payments(settings: RouterSettings, offers: Offers, clock: Clock, log: Log, stack: AsyncExitStack) -> Payments:
    from cortops.programs.router.mcp_advert import public_base
    from cortops.programs.router.x402 import Payments
    from cortops.programs.router.x402_facilitator import remote
    from cortops.programs.router.x402_terms import Terms

    if not settings.x402_facilitator_url:
        raise BadInput("the router cannot take payments: X402_ROUTER_NODE_FACILITATOR_URL is missing", where="env file")
    terms = Terms.of(settings, public_base(settings))
    facilitator = await stack.enter_async_context(remote(settings.x402_facilitator_url, settings.x402_facilitator_secret))
    sessions = {
        Family.COMPLETIONS: settings.x402_completions_session,
        Family.DELEGATE: settings.x402_delegate_session,
        Family.VALIDATE: settings.x402_validate_session,
        Family.FACTCHECK: settings.x402_factcheck_session,
    }
    payments = Payments(terms=terms, sessions=sessions, offers=offers, facilitator=facilitator, clock=clock, log=log)
    stack.push_async_callback(payments.close)
    return payments
