"""Cross-checks of `depends_on`, and of nodes that run programs of others."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.declared import Declared
from cortops.environment.foreign import ForeignNode
from cortops.environment.graph import may_depend_on
from cortops.environment.reason import Finding, did_you_mean, list_of, printable


def dependencies_lead_upwards(declared: Declared) -> Iterator[Finding]:
    """`depends_on` names nodes of ours, each once, and never closes a circle."""
    for name, node in declared.nodes.items():
        for index, other in enumerate(node.depends_on):
            if what := _wrong(declared, name, other, node.depends_on[:index]):
                fitting = [known for known in declared.nodes if known != name and may_depend_on(declared.nodes, name, known)]
                otherwise = f"It can depend on {list_of(fitting, limit=5)}." if fitting else "Remove it: nothing here comes before it."
                yield Finding(("nodes", name, "depends_on", index), what, did_you_mean(other, fitting, otherwise=otherwise))


def _wrong(declared: Declared, name: str, other: str, before: tuple[str, ...]) -> str:
    """What is wrong with `name` depending on `other`; "" where nothing is, or where that one could not be read."""
    if other in before:
        return f"names {printable(other)} twice"
    if other in declared.installed:
        return f"names {printable(other)}, which runs cortensord and is not started by us"
    if other in declared.nodes:
        where = f"{printable(other)} (line {declared.line('nodes', other)})"
        return "" if may_depend_on(declared.nodes, name, other) else f"names {where}, which does not come before it"
    return f"names {printable(other)}, which is not declared" if declared.is_unknown("nodes", other) else ""


def data_folders_are_apart(declared: Declared) -> Iterator[Finding]:
    """One data folder for each node of a host, none inside of another's."""
    taken: list[tuple[str, str, str]] = []
    for name, node in declared.nodes.items():
        if not isinstance(node, ForeignNode) or node.data is None:
            continue
        mine = node.data.rstrip("/") + "/"
        for first, host, folder in taken:
            if host == node.host and (mine.startswith(folder) or folder.startswith(mine)):
                where = f"{printable(first)} (line {declared.line('nodes', first, 'data')})"
                yield Finding(("nodes", name, "data"), f"shares a folder with the data of {where}", "Give each a folder of its own.")
                break
        taken.append((name, node.host, mine))
