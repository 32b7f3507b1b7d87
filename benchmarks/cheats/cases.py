"""Cases out of the texts: three answers to one prompt, of which the last is in question. Pure but for reading the three files.

Everything is drawn by a generator that is seeded with the case's id, so the same files give the same cases. The half of a case is a bit of
its id's hash: nobody chose it.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
WRITTEN, PROMPTS, ANSWERS = HERE / "written.txt", HERE / "prompts.txt", HERE / "answers.json"
HONEST = ("same", "drift", "paraphrase", "long paraphrase")
CHEATS = (
    "copy",
    "truncated",
    "other topic",
    "weak model",
    "garbage",
    "prompt echo",
    "foreign sentence",
    "foreign in long",
    "wrong sentence",
    "wrong number",
)
UNSEEDED = "sampled"  # honest miners without a common seed: shown, promised nothing
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """answers: of m0, m1, m2; m2 is in question. sampled: the miners have no common seed. kind: one of HONEST, CHEATS or UNSEEDED."""

    id: str
    kind: str
    prompt: str
    answers: tuple[str, str, str]
    sampled: bool = False

    @property
    def half(self) -> int:
        """1: thresholds were chosen on it. 2: read once, after they were frozen."""
        return 1 + hashlib.sha256(self.id.encode()).digest()[0] % 2

    @property
    def guilty(self) -> bool:
        return self.kind in CHEATS


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """facts: (one wording, another wording, something false or "")."""

    prompt: str
    facts: tuple[tuple[str, str, str], ...]

    def text(self, wording: str) -> str:
        """`abf`: of the first fact the first wording, of the second the other one, of the third what is false."""
        return " ".join(fact["abf".index(letter)] for fact, letter in zip(self.facts, wording, strict=True))


def topics() -> tuple[Topic, ...]:
    """As in written.txt."""
    found: list[Topic] = []
    for block in WRITTEN.read_text().split("# ")[1:]:
        prompt, *lines = block.strip().splitlines()
        facts = tuple((*line.split(" | "), "")[:3] for line in lines)
        found.append(Topic(prompt=prompt, facts=facts))  # type: ignore[arg-type]
    return tuple(found)


def prompts() -> tuple[str, ...]:
    """What the model is asked."""
    return (*(topic.prompt for topic in topics()), *PROMPTS.read_text().splitlines())


def cases() -> tuple[Case, ...]:
    """All, in a fixed order."""
    answers: Mapping[str, Mapping[str, str]] = json.loads(ANSWERS.read_text())
    return (*_of_the_model(answers), *_written(), *_long())


def _of_the_model(answers: Mapping[str, Mapping[str, str]]) -> Iterator[Case]:
    asked = list(answers)
    for at, prompt in enumerate(asked):
        said = answers[prompt]
        honest, drift, sampled = said["honest"], said["drift"], said["sampled"]
        chance = random.Random(f"cheats {prompt}")
        other = answers[asked[(at + chance.randrange(1, len(asked))) % len(asked)]]["honest"]
        last = {
            "same": honest,
            "drift": drift,
            "truncated": truncated(honest, chance.uniform(0.2, 0.6)),
            "other topic": other,
            "weak model": said["weak"],
            "garbage": garbage(honest, chance),
            "prompt echo": echo(prompt, chance),
            "foreign sentence": with_foreign(honest, other, chance),
        }
        for kind, text in last.items():
            second = honest if kind in HONEST else drift
            yield Case(id=f"{kind}/{prompt}", kind=kind, prompt=prompt, answers=(honest, second, text))
        yield Case(id=f"copy/{prompt}", kind="copy", prompt=prompt, answers=(sampled, honest, sampled), sampled=True)
        yield Case(id=f"{UNSEEDED}/{prompt}", kind=UNSEEDED, prompt=prompt, answers=(honest, drift, sampled), sampled=True)


def _written() -> Iterator[Case]:
    for topic in topics():
        for one, other, last in (("aaa", "aba", "bbb"), ("aab", "bba", "abb"), ("bab", "aaa", "bba")):
            yield _case("paraphrase", topic, one, other, topic.text(last), last)
        for wording in ("aaa", "bbb", "aba"):
            text = topic.text(wording)
            yield _case("wrong number", topic, "aaa", "bab", with_wrong_number(text, random.Random(f"{topic.prompt} {wording}")), wording)
        for wording in ("afa", "aaf", "bfb", "bbf"):
            yield _case("wrong sentence", topic, "aaa", "bab", topic.text(wording), wording)


def _long() -> Iterator[Case]:
    """Answers of twelve sentences: four topics one after the other."""
    every = topics()
    for at in range(len(every)):
        several = [every[(at + step) % len(every)] for step in range(4)]
        prompt = " ".join(topic.prompt for topic in several)
        for one, other, last in (("aaa", "aba", "bbb"), ("aab", "bba", "abb"), ("bab", "aaa", "bba")):
            first, second, third = (" ".join(topic.text(wording) for topic in several) for wording in (one, other, last))
            foreign = with_foreign(third, every[(at + 20) % len(every)].text("aaa"), random.Random(f"long {prompt} {last}"))
            for kind, text in (("long paraphrase", third), ("foreign in long", foreign)):
                yield Case(id=f"{kind}/{prompt}/{last}", kind=kind, prompt=prompt, answers=(first, second, text))


def _case(kind: str, topic: Topic, one: str, other: str, last: str, wording: str) -> Case:
    return Case(id=f"{kind}/{topic.prompt}/{wording}", kind=kind, prompt=topic.prompt, answers=(topic.text(one), topic.text(other), last))


def truncated(text: str, share: float) -> str:
    """The first share of its words."""
    words = text.split(" ")
    return " ".join(words[: max(1, round(len(words) * share))])


def garbage(text: str, chance: random.Random) -> str:
    """Of the same length: letters, its own words in another order, or one word again and again."""
    words = text.split()
    kind = chance.randrange(3)
    if kind == 0:
        return "".join(chance.choice("abcdefghijklmnopqrstuvwxyz     ,.") for _ in text)
    if kind == 1:
        return " ".join(chance.sample(words, len(words)))
    return " ".join([chance.choice(words)] * len(words))


def echo(prompt: str, chance: random.Random) -> str:
    """The prompt, alone, again and again, or in a frame."""
    frames = (prompt, " ".join([prompt] * 4), f"You asked: {prompt}", f"{prompt} That is a good question. {prompt}")
    return chance.choice(frames)


def with_foreign(text: str, other: str, chance: random.Random) -> str:
    """One sentence replaced by one of another answer."""
    sentences, foreign = SENTENCE_END.split(text), SENTENCE_END.split(other)
    sentences[chance.randrange(len(sentences))] = chance.choice(foreign)
    return " ".join(sentences)


def with_wrong_number(text: str, chance: random.Random) -> str:
    """One number changed: doubled, halved, or off by a digit."""
    found = chance.choice(list(NUMBER.finditer(text)))
    value = float(found[0])
    wrong = chance.choice((value * 2, value / 2, value * 10, value + 1))
    return text[: found.start()] + f"{wrong:g}" + text[found.end() :]
