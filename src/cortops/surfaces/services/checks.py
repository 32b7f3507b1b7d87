"""Is a declared service running?"""

from __future__ import annotations

from collections.abc import Mapping

from cortops.surfaces.readings import answered_by, bad, inconclusive, ok
from cortops.surfaces.services import facts
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Reply


def running(entity: Entity, service: str, host: str, owner: str) -> Check:
    """The service manager of `host` runs `service`. When it says that it does not, that is certain."""
    asked = facts.question_id(host)

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by(replies, asked, f"the service manager of {host}")
        if isinstance(answer, Verdict):
            return answer
        if answer.status == facts.NO_MANAGER:
            return bad(f"not started: the service manager of {host} does not run", certain=True)
        if answer.status != 0:
            return inconclusive(f"the service manager of {host} said: {answer.text[:120] or 'nothing'}")
        state = facts.read(answer.text).get(service)
        if state is None:
            return bad(f"{host} knows no service {service}", certain=True)
        if state.state != "RUNNING":
            said = f"{state.state.lower()} on {host}" + (f": {state.rest}" if state.rest else "")
            return bad(said, certain=state.pid == 0)  # one that is starting has a pid already
        return ok(f"runs as pid {state.pid} for {state.uptime_s} s")

    return Check(entity=entity, name="process", asks=(asked,), judge=judge, owner=owner, service=service)
