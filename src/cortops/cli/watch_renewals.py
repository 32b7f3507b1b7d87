"""What a running `watch` may do of itself: renew certificates, where the environment file says `acme.renew: watch`."""

from __future__ import annotations

from collections.abc import Callable

from cortops.cli.common import Common, new_apply_id
from cortops.cli.compose import Here, here
from cortops.deploy.lock import this_process
from cortops.deploy.secrets_of import secrets_of
from cortops.environment.certificates import STAND_IN
from cortops.environment.crosscheck_secrets import certificate_secret
from cortops.environment.declared import Environment
from cortops.words.clock import Clock
from cortops.words.errors import CortopsError

LOOK_EVERY_S = 6 * 3600.0  # a certificate of 90 days has 30 left when it is first due
Tell = Callable[[str, dict[str, str]], None]


def is_asked_for(env: Environment) -> bool:
    """Whether this watch may renew."""
    return env.acme is not None and env.acme.renew == "watch"


async def keep_renewed(common: Common, env: Environment, place: Here, clock: Clock, tell: Tell) -> None:
    """Until cancelled: look every six hours, renew what is due. A failure is told, and tried again at the next look."""
    while True:
        names = due(env, place, clock.now())
        if names:
            try:
                await _renew(common, env, tell)
            except CortopsError as error:
                tell("renewal_failed", {"hostnames": ", ".join(names), "what": error.what, "why": error.why, "next": error.next})
            except OSError as error:
                tell("renewal_failed", {"hostnames": ", ".join(names), "what": str(error), "why": "", "next": ""})
        await clock.sleep(LOOK_EVERY_S)


def due(env: Environment, place: Here, now: float) -> tuple[str, ...]:
    """Hostnames whose certificate is old, by what may be shown of the secrets: nothing is opened for it."""
    from cortops.deploy import certificates  # brings cryptography

    publics = place.deployment.secrets.publics(secrets_of(env))
    asked = (hostname for hostname, route in env.proxy.items() if route.tls.by == "acme")
    kept = {hostname: publics[certificate_secret(hostname)] for hostname in asked}
    return tuple(name for name, pem in kept.items() if "-----BEGIN" in pem and not pem.startswith(STAND_IN) and certificates.due(pem, now))


async def _renew(common: Common, env: Environment, tell: Tell) -> None:
    from cortops.deploy.acme.renew import renew  # brings the deploy engine's gate

    async with here(env, common) as whole:  # with our programs packed, as an apply has them, or hosts would look changed
        done = await renew(whole.deployment, apply_id=new_apply_id(), owner=this_process())
    if done is not None:
        tell("renewed", {"hostnames": ", ".join(done.hostnames), "generation": str(done.generation)})
