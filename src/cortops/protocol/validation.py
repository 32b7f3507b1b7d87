"""What a validator holds answers to: declared in the environment, handed over in its env file, written into every piece of evidence. Ours.

Source: facts E for replicas, disagreement policies and the distance; public thresholds are unknown (facts J.8), so these are measured:
benchmarks/validation.py, chosen on one half of its cases and frozen before the other was read.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cortops.words.errors import BadInput

VALIDATOR_V1, VALIDATOR_V2, VALIDATOR_V3 = "validatorv1", "validatorv2", "validatorv3"  # facts D
RUNS = (VALIDATOR_V1, VALIDATOR_V2, VALIDATOR_V3)
Numbers = Literal["ignore", "doubt", "reject"]
Disagreement = Literal["return_all", "fail_hard", "best_effort"]
REPLICAS = (1, 3, 5)
RULES_MAX = 16

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One policy; the defaults are the frozen ones.

    replicas: answers that a verdict needs more than half of; 0: of those that came. disagreement: what becomes of a task whose answers
    differ. similarity_min: cosine of two answers' embeddings from which on they may mean the same. sentence_min: and of each sentence of
    one to what is nearest in the other; 0: not asked. length_min: words of the shorter over those of the longer. order_min: share
    of the neighbouring words of an answer in another's words that are neighbours there. numbers: what becomes of
    an answer with a figure that those it agrees with do not have: nothing, RETRY or INVALID. echo_max: share of an answer's words that
    stand in the prompt. repeated_max: share of its phrases that it says again. sampled: miners have no common seed, so that equal long
    answers are copies. copy_words_min: of that many words on. rubric: points that a judge holds an answer to, besides its own;
    confidence_min: below it the judge has not said anything.
    """

    replicas: int = 0
    disagreement: Disagreement = "return_all"
    similarity_min: Share = 0.75
    sentence_min: Share = 0.4
    length_min: Share = 0.65
    order_min: Share = 0.2
    echo_max: Share = 0.55
    repeated_max: Share = 0.5
    numbers: Numbers = "doubt"
    sampled: bool = False
    copy_words_min: Annotated[int, msgspec.Meta(ge=1)] = 12
    rubric: tuple[str, ...] = ()
    confidence_min: Share = 0.5

    def as_text(self) -> str:
        """On one line, without what is as by default."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def parse(cls, text: str) -> Policy:
        """The inverse of `as_text`; BadInput with what is wrong."""
        try:
            policy = msgspec.json.decode(text or "{}", type=Policy)
        except msgspec.DecodeError as error:
            raise BadInput(f"the policy of validation cannot be read: {error}") from error
        if policy.replicas not in (0, *REPLICAS):
            raise BadInput(f"the policy of validation asks for {policy.replicas} replicas; they are 1, 3 or 5")
        if not policy.similarity_min:
            raise BadInput("the policy of validation has similarity_min 0, by which everything agrees with everything")
        return policy
