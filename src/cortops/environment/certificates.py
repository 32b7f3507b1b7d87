"""Where a hostname's certificate comes from: the local authority, files, or an authority that speaks ACME. Section `acme`. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator

from cortops.environment.dns import FilePath
from cortops.environment.section import Port, Secret, Section, refuse

ACCOUNT = "acme/account"  # the account's secret, where none is named
STAND_IN = "stand-in until an authority gives a certificate"  # before the PEM of one that nobody trusts
_DIRECTORY = r"^https://[^\s/?#@]+(/[^\s?#]*)?$"

Contact = Annotated[str, Field(pattern=r"^[^\s@,;<>]{1,64}@[^\s@,;<>]{1,253}$", examples=["ops@lab.example"])]


class RouteTls(Section):
    """`local-ca`, `acme`, or a certificate that others made: `{certificate: PATH, key: {secret: NAME}}`."""

    by: Literal["local-ca", "acme", "files"] = Field(
        default="files",
        description="`local-ca`: an authority that lives on this machine. `acme`: see the section `acme`. The plain word stands for it.",
    )
    certificate: FilePath | Secret | None = Field(
        default=None,
        description="PEM: the certificate, then those that lead from it to its authority. A file beside the environment file, or a secret.",
        examples=["certificates/api.lab.example.pem"],
    )
    key: Secret | None = Field(default=None, description="The secret that holds its private key, PEM.", examples=["{secret: api/tls-key}"])
    trust: FilePath | None = Field(
        default=None, description="PEM of the authority that clients trust it by. Without it: one that every machine trusts."
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, body: Any) -> Any:
        return {"by": body} if isinstance(body, str) else body

    @model_validator(mode="after")
    def _whole(self) -> RouteTls:
        given = [name for name in ("certificate", "key", "trust") if getattr(self, name) is not None]
        if self.by != "files" and given:
            raise refuse(f"is {self.by}, and names {' and '.join(given)}", f"Write tls: {self.by}, or leave `by` out.")
        if self.by == "files" and (self.certificate is None or self.key is None):
            raise refuse(
                f"names no {'certificate' if self.certificate is None else 'key'}",
                "Write tls: local-ca, tls: acme, or tls: {certificate: PATH, key: {secret: NAME}}.",
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": ["local-ca", "acme"]}, handler.resolve_ref_schema(handler(core_schema))]}


class Acme(Section):
    """The authority from which certificates of `tls: acme` are obtained (RFC 8555)."""

    directory: str = Field(
        pattern=_DIRECTORY,
        max_length=512,
        description="Address of its directory.",
        examples=["https://acme-v02.api.letsencrypt.org/directory"],
    )
    account: Secret = Field(
        default=Secret(secret=ACCOUNT), description="The account's key; made by the first apply where nobody has set it (PEM)."
    )
    contact: tuple[Contact, ...] = Field(
        default=(), max_length=8, description="Whom the authority may write to.", examples=["[ops@lab.example]"]
    )
    agree: bool = Field(description="`true`: you have read the authority's terms of service, and agree to them.", examples=["true"])
    challenge: Literal["http-01", "dns-01"] = Field(
        default="http-01",
        description="How we show that a name is ours: by a file that nginx serves, or by a record in a zone of `dns`.",
    )
    http_port: Port = Field(
        default=80, description="Where nginx answers the authority; it asks at 80, so others only behind something that leads there."
    )
    trust: FilePath | None = Field(
        default=None, description="PEM of what directory and certificates are trusted by, for one of your own. Without it: public ones."
    )
    renew: Literal["apply", "watch"] = Field(
        default="apply",
        description="Who renews a certificate of which less than a third of its life is left: an apply, or the running watch too.",
    )

    @model_validator(mode="after")
    def _agreed(self) -> Acme:
        if not self.agree:
            raise refuse("does not agree to the authority's terms", "Read them, then write agree: true.")
        return self
