"""Does every process of the gateway answer?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.declared import Environment
from cortops.surfaces.reach import from_here
from cortops.surfaces.readings import bad, json_of, ok, reply_of
from cortops.surfaces.services.checks import running
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Http, Question, Reply


def health(process: str) -> str:
    """The question that asks a process for its `/health`."""
    return f"gateway:health:{process}"


def questions(env: Environment, site: Site) -> Iterator[Question]:
    if env.gateway is None:
        return
    for each in env.gateway.instances():
        yield Http(id=health(each.name), url=f"http://{from_here(env, each.host)}:{each.port}/health", timeout_s=3)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for each in env.gateway.instances() if env.gateway else ():
        entity = Entity("gateway", each.name)
        owner = env.owner_of(entity)
        yield running(entity, each.name, each.host, owner)
        yield Check(entity=entity, name="health", asks=(health(each.name),), judge=_answers(each.name), owner=owner, runbook="gateway")


def _answers(process: str) -> Judge:
    """A process is well when it answers `/health` as itself; a pool that is not served is the pool's own matter."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, health(process))
        if isinstance(answer, Verdict):
            return answer
        page = json_of(answer)
        own = page.get("own")
        if not isinstance(own, list):
            return bad(f"answers {answer.status}, and it is no health page")
        if page.get("name") != process:
            return bad(f"{str(page.get('name'))[:64]} answers on its port")
        return ok(f"answers, {answer.elapsed_s * 1000:.0f} ms") if not own else bad("; ".join(str(reason) for reason in own))

    return judge
