"""What every section of the file is made of: the frozen base, the kinds of text, a reference to a secret."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from cortops.words.resource import SecretRef

_HEX_64 = r"^[0-9a-f]{64}$"
_URL = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"

Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Names = tuple[Name, ...]
# One name may stand for a list of one.
OneOrMore = Annotated[
    Names,
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Url = Annotated[str, Field(pattern=_URL, max_length=512, examples=["http://127.0.0.1:8090"])]
Model = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,95}$", examples=["smollm2"])]
ContractPlace = Annotated[str, Field(pattern=r"^(deploy|0x[0-9a-fA-F]{40})$", examples=["deploy"])]
Sha256 = Annotated[str, Field(pattern=_HEX_64)]


def refuse(what: str, instead: str) -> PydanticCustomError:
    """For validators: what is wrong, and what to write instead."""
    return PydanticCustomError("cortops", "{what}", {"what": what, "instead": instead})


class Section(BaseModel):
    """One block of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=1024, regex_engine="rust-regex", defer_build=True)


class Owned(Section):
    """What somebody is asked about."""

    owner: str = Field(default="", max_length=128, description="Who is asked when it is ill. Without it: see `owners`.")


class Secret(Section):
    """A reference to a secret; its value never stands in the file."""

    secret: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}(/[a-z0-9][a-z0-9._-]{0,63}){0,3}$",
        description="Name of the secret; not its value.",
        examples=["miner-1/key"],
    )

    @property
    def ref(self) -> SecretRef:
        return SecretRef(self.secret)


class NodeOrUrl(Section):
    """Either `node:` or `url:`; plain text stands for the node."""

    node: Name | None = Field(default=None, description="Name of the node; the plain text `NAME` stands for `{node: NAME}`.")
    url: Url | None = Field(
        default=None, description="Address of one that is not ours: http(s)://HOST[:PORT][/PATH].", examples=["http://127.0.0.1:8090"]
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, body: Any) -> Any:
        return {"node": body} if isinstance(body, str) else body

    @model_validator(mode="after")
    def _one(self) -> NodeOrUrl:
        if (self.node is None) == (self.url is None):
            raise refuse("names neither a node nor a url" if self.node is None else "names a node and a url", "Give one of the two.")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(handler(core_schema))]}


class Rpc(NodeOrUrl):
    """Where the chain is asked: a node of role chain or rpc-relay, or `{url: …}`."""
