"""Does all that belongs to the network's own tasks fit together?"""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.model import DEPLOY, OracleNode, ValidatorNode
from cortops.environment.reason import Finding
from cortops.protocol.validation import VALIDATOR_V1


def network_tasks_fit(declared: Declared) -> Iterator[Finding]:
    """Somebody carries them on, and who judges them has some to judge."""
    if declared.network is None:
        return
    tasks = declared.network.tasks
    for name, node in declared.nodes.items():
        if isinstance(node, ValidatorNode) and node.runs == VALIDATOR_V1 and tasks is None:
            what = "is validatorv1, which judges the network's own tasks, and network.tasks is not declared"
            yield Finding(("nodes", name, "runs"), what, "Add network.tasks, or write validatorv2.")
    if tasks is None:
        return
    if declared.has_all("nodes") and not any(isinstance(node, OracleNode) for node in declared.nodes.values()):
        yield Finding(("network", "tasks"), "is declared, and no oracle carries the tasks on", "Add a node of role oracle.")
    if declared.network.contracts.runtime != DEPLOY:
        yield Finding(
            ("network", "tasks"),
            "is declared beside a runtime of others, whose network has its own Cognitive",
            "Remove it; network.contracts.cognitive tells where theirs is.",
        )
