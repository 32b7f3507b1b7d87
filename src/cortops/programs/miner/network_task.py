"""The network's own tasks at a miner, pure: the latest task, who we are and what we have -> our next step.

The next step follows from how far the chain is, so that late, double and rewound news are harmless. An answer that was lost with the
process is made again: with the task's seed the engine gives the same text, and a text with another hash is never committed.
"""

from __future__ import annotations

from dataclasses import dataclass

from cortops.contracts.network_tasks import NetworkTask, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Say what the task is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Give it its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Run the prompt on the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precommit:
    """Promise the hash of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Show the answer."""


Step = Create | Prepare | Answer | Precommit | Commit


def due(task: NetworkTask | None, ours: str, *, answered: bool) -> Step | None:
    """ours: our address. answered: the answer to this task is there."""
    if task is None:
        return None
    selected = ours in task.miners
    match task.state:
        case TaskState.CREATE if task.creator == ours:
            return Create()
        case TaskState.PREPARE if task.preparer == ours:
            return Prepare()
        case TaskState.PRECOMMIT if selected and ours not in task.precommitted:
            return Precommit() if answered else Answer()
        case TaskState.COMMIT if ours in task.precommitted and ours not in task.committed:
            return Commit() if answered else Answer()
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a network task is about."""

    domain: str
    subdomain: str


_TOPICS = {
    "science": ("light", "water", "heat", "sound"),
    "nature": ("birds", "trees", "rivers", "weather"),
    "history": ("trade", "maps", "printing", "ships"),
    "everyday life": ("bread", "sleep", "money", "tools"),
    "mathematics": ("numbers", "chance", "shapes", "measures"),
}
_QUESTIONS = (
    "Explain in three sentences what {subdomain} means in {domain}.",
    "Name two facts about {subdomain} that belong to {domain}.",
    "Why does {subdomain} matter in {domain}? Answer briefly.",
    "Give a short example of {subdomain} in {domain}.",
)


def topic(number: int) -> Topic:
    """A number by chance -> one of our topics."""
    domain = list(_TOPICS)[number % len(_TOPICS)]
    inside = _TOPICS[domain]
    return Topic(domain=domain, subdomain=inside[number // len(_TOPICS) % len(inside)])


def challenge(about: Topic, number: int) -> str:
    """The prompt for a topic, whoever chose it: words of strangers are shortened, not trusted."""
    words = {"domain": about.domain[:64], "subdomain": about.subdomain[:64]}
    return _QUESTIONS[number % len(_QUESTIONS)].replace("{domain}", words["domain"]).replace("{subdomain}", words["subdomain"])
