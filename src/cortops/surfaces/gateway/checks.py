"""Does the gateway answer, and is every pool behind it served?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.surfaces.gateway.render import entity_of
from cortops.surfaces.nodes.render import LOOPBACK
from cortops.surfaces.readings import bad, json_of, ok, reply_of
from cortops.surfaces.services.checks import running
from cortops.surfaces.site import Site
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Http, Question, Reply

HEALTH = "gateway:health"


def questions(env: Environment, site: Site) -> Iterator[Question]:
    if env.gateway is not None:
        yield Http(id=HEALTH, url=f"http://{LOOPBACK}:{env.gateway.port}/health", timeout_s=3)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    if env.gateway is None:
        return
    entity = entity_of(env.gateway)
    owner = env.owner_of(entity)
    yield running(entity, env.gateway.NAME, env.gateway.on, owner)
    yield Check(entity=entity, name="health", asks=(HEALTH,), judge=_answers(), owner=owner, runbook="gateway")


def _answers() -> Judge:
    """The gateway itself is well when it answers `/health`; a pool that is not served is the pool's own matter."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, HEALTH)
        if isinstance(answer, Verdict):
            return answer
        own = json_of(answer).get("own")
        if not isinstance(own, list):
            return bad(f"answers {answer.status}, and it is no health page")
        return ok(f"answers, {answer.elapsed_s * 1000:.0f} ms") if not own else bad("; ".join(str(reason) for reason in own))

    return judge
