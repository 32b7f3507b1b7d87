"""The block `validation` of a validator: what it holds answers to. Its defaults are those of protocol.validation, which were measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from cortops.environment.section import Section, refuse
from cortops.protocol.validation import REPLICAS, RULES_MAX, Disagreement, Numbers, Policy

DEFAULTS = Policy()
RULE_CHARS_MAX = 400

Share = Annotated[float, Field(ge=0, le=1)]
Rule = Annotated[str, Field(min_length=1, max_length=RULE_CHARS_MAX)]


class Validation(Section):
    """What answers to a task are held to, and what becomes of it when they differ. With it, evidence is kept in a file."""

    replicas: int | None = Field(
        default=None,
        description="How many answers a verdict takes: 1, 3 or 5, of which more than half must agree. Without it: more than half of those "
        "that came. 1 is for a validatorv3, whose judge needs no second answer.",
        examples=["3"],
    )
    disagreement: Disagreement = Field(
        default=DEFAULTS.disagreement,
        description="`return_all`: without a majority all are to RETRY. `best_effort`: then the largest group that agrees is VALID. "
        "`fail_hard`: unless all agree, nobody is VALID.",
    )
    sentence_min: Share = Field(
        default=DEFAULTS.sentence_min,
        description="Cosine of each sentence of an answer and the nearest one of another, from which on it is borne out. 0: not asked.",
    )
    length_min: Share = Field(default=DEFAULTS.length_min, description="Words of the shorter answer over those of the longer.")
    order_min: Share = Field(
        default=DEFAULTS.order_min,
        description="Of an answer in another's words: share of its neighbouring words that are neighbours there too. 0: not asked.",
    )
    numbers: Numbers = Field(
        default=DEFAULTS.numbers,
        description="An answer with a figure that those it agrees with do not have: `doubt` makes it RETRY, `reject` INVALID.",
    )
    echo_max: Share = Field(default=DEFAULTS.echo_max, description="Share of an answer's words that stand in the prompt.")
    repeated_max: Share = Field(default=DEFAULTS.repeated_max, description="Share of an answer's phrases that it says again.")
    sampled: bool = Field(
        default=DEFAULTS.sampled,
        description="`true`: miners have no common seed, so an equal long answer that was promised in a later block is a copy.",
    )
    rubric: tuple[Rule, ...] = Field(
        default=(), max_length=RULES_MAX, description="Points that a validatorv3's judge holds an answer to, besides its own."
    )
    confidence_min: Share = Field(default=DEFAULTS.confidence_min, description="A judge that is less sure than this has said nothing.")

    @field_validator("replicas")
    @classmethod
    def _odd(cls, count: int | None) -> int | None:
        if count is not None and count not in REPLICAS:
            raise refuse(f"is {count}", "Write 1, 3 or 5.")
        return count

    def policy(self, similarity_min: float) -> Policy:
        """As the validator reads it."""
        return Policy(**{**self.model_dump(), "replicas": self.replicas or 0}, similarity_min=similarity_min)
