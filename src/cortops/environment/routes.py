"""What a router answers beside completions: which sessions its families run in, and what is off until it is declared."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from cortops.environment.section import Secret, Section, Url, refuse

REPLICAS = (3, 5)

SessionId = Annotated[int, Field(ge=1, le=2**53)]


class Trial(Section):
    """Free calls without a key, few for each client, known by its address (IPv6: by /64)."""

    requests_max: int = Field(default=1, ge=1, le=1000, description="Calls of one client in a window.")
    window_s: int = Field(default=900, ge=1, le=86_400, description="Length of that window.")
    completion: SessionId | None = Field(default=None, description="Session of free completions. Without it the caller names one.")
    delegate: SessionId | None = Field(default=None, description="Session of free delegated tasks.")
    validate_: SessionId | None = Field(default=None, alias="validate", description="Session of free verdicts.")
    factcheck: SessionId | None = Field(default=None, description="Session of free fact checks.")


class Factcheck(Section):
    """Sessions that judge claims; at least three runs are spread over them."""

    standard: tuple[SessionId, ...] = Field(default=(), max_length=5, description="For what the models know.", examples=["[1, 2, 3]"])
    realtime: tuple[SessionId, ...] = Field(
        default=(), max_length=5, description="For what a search finds now. Without it: those of `standard`.", examples=["[1]"]
    )


class WebSearch(Section):
    """A search on the web by Tavily's API, for claims that are checked in realtime. It sees the claims."""

    key: Secret = Field(description="Its key.", examples=["{secret: search/key}"])
    url: Url = Field(default="https://api.tavily.com", description="Its address.")


class RouterFamilies(Section):
    """A router answers delegate, validate and factcheck in any case; what is named here needs no session in the body."""

    delegate: SessionId | None = Field(default=None, description="Session of delegated tasks (v1, v2).", examples=["1"])
    validate_: SessionId | None = Field(default=None, alias="validate", description="Session of verdicts (v1, v2).", examples=["1"])
    factcheck: Factcheck = Field(default=Factcheck(), description="Sessions of fact checks.", examples=["{standard: [1, 2, 3]}"])
    consensus_3: tuple[SessionId, ...] = Field(
        default=(), description="The three sessions of v3 with three replicas.", examples=["[1, 2, 3]"]
    )
    consensus_5: tuple[SessionId, ...] = Field(default=(), description="The five sessions of v3 with five replicas.")
    judge_schema: bool = Field(
        default=False, description="`true`: the engines can hold a reply to a JSON schema, so judges are held to it."
    )
    search: WebSearch | None = Field(default=None, description="What finds sources for claims that are checked in realtime.")
    trial: Trial | None = Field(default=None, description="Free calls.", examples=["{requests_max: 3, completion: 1}"])
    create: bool = Field(default=False, description="`true`: whoever has the router's key makes sessions, paid by the router's wallet.")

    @model_validator(mode="after")
    def _whole(self) -> RouterFamilies:
        for count in REPLICAS:
            pool = self.pool(count)
            if pool and len(set(pool)) != count:
                raise refuse(f"consensus_{count} has {len(set(pool))} different sessions", f"Name {count} different ones, or none.")
        return self

    def pool(self, replicas: int) -> tuple[int, ...]:
        """The sessions of v3 with so many replicas, empty where none are declared."""
        return self.consensus_3 if replicas == 3 else self.consensus_5

    def sessions(self) -> dict[str, tuple[int, ...]]:
        """Key -> the sessions that it names."""
        trial = self.trial or Trial()
        single = {
            "delegate": self.delegate,
            "validate": self.validate_,
            "trial.completion": trial.completion,
            "trial.delegate": trial.delegate,
            "trial.validate": trial.validate_,
            "trial.factcheck": trial.factcheck,
        }
        return {key: (session,) for key, session in single.items() if session is not None} | {
            "factcheck.standard": self.factcheck.standard,
            "factcheck.realtime": self.factcheck.realtime,
            "consensus_3": self.consensus_3,
            "consensus_5": self.consensus_5,
        }
