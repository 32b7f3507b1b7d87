"""The program of an adopted node: which one runs and which one its next start takes. In all five shapes; the sh is node_program.sh."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import resources

from cortops.deploy.kinds.kind import Making, Words
from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.change import Action
from cortops.words.resource import NodeProgram


class NodeProgramKind:
    """Absent before it is adopted. To make it copies what runs, its unit and its env file first; then the next start takes the program,
    and only where another one runs it is started anew. One that does not stay up is taken back in the same step, on the host.
    """

    @cached_property
    def prelude(self) -> str:
        return resources.files(__package__).joinpath("node_program.sh").read_text("utf-8")

    def attributes(self, resource: NodeProgram, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        """program: of the process; starts: what its next start would take; finished: no files were put back without a start after it."""
        wanted = {"program": resource.program, "starts": resource.program, "running": "yes", "finished": "yes"}
        return wanted | ({"unit": resource.unit_sha256, "env": resource.env_sha256} if resource.whole else {})

    def look(self, resource: NodeProgram, manager: Supervisor) -> Words:
        return ("look_node_program", *_at(resource, manager))

    def make(self, resource: NodeProgram, step: Step, manager: Supervisor) -> Making:
        """A CREATE copies and changes nothing else; a START or RESTART starts it anew even where its program runs already."""
        words = (
            "make_node_program",
            resource.program,
            "copy" if step.action is Action.CREATE else "start" if step.action in (Action.START, Action.RESTART) else "set",
            resource.unit_sha256 if resource.whole else "",
            resource.env_sha256 if resource.whole else "",
            resource.stop_timeout_s,
            resource.start_timeout_s,
            resource.settle_s,
            resource.log.removeprefix("docker:"),
        )
        return Making((*words, *_at(resource, manager)))

    def remove(self, resource: NodeProgram, manager: Supervisor) -> Words:
        """Only our copies go; refused while the node runs a program of ours."""
        return ("remove_node_program", *_at(resource, manager))


def _at(resource: NodeProgram, manager: Supervisor) -> Words:
    hashed = f"{manager.root}/run/hashed"
    return (
        resource.shape,
        resource.unit,
        resource.env_file,
        resource.runs,
        resource.binary,
        resource.blob,
        resource.saved,
        hashed,
    )


def timeout_s(resource: NodeProgram) -> float:
    """How long its step may take: to stop and start it, and the same once more when it is taken back."""
    return 2.0 * (resource.stop_timeout_s + resource.start_timeout_s + resource.settle_s) + 60.0
