"""One account at an authority that speaks ACME (RFC 8555), through certbot's library, which is synchronous: each call is for a thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from cortops.deploy.authority import new_key
from cortops.words.errors import StepFailed

ASK_TIMEOUT_S: Final = 30
ORDER_TIMEOUT_S: Final = 120  # until the authority has looked and signed

ChallengeKind = Literal["http-01", "dns-01"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What shows the authority that a name is ours. http-01: `token` is the file's name, `value` its text. dns-01: `name` TXT `value`."""

    token: str
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One that was placed: what must be shown, and the library's own parts to go on with."""

    proofs: tuple[Proof, ...]
    key: str = field(repr=False)  # of the certificate, PEM
    order: Any = field(repr=False)
    answers: tuple[Any, ...] = field(repr=False)


class AcmeAccount:
    """An account, registered with its first use. Methods raise StepFailed with what the authority says."""

    def __init__(self, directory: str, secret: str, contact: tuple[str, ...], *, trust: Path | None, agent: str) -> None:
        """secret: a PEM key, or any other text of which one is made. trust: PEM that the directory is trusted by; None: the system's."""
        self._directory = directory
        self._key = JWKEC(key=account_key(secret))
        self._contact = contact
        self._trust = str(trust) if trust is not None else True
        self._agent = agent
        self._client: client.ClientV2 | None = None

    def order(self, hostname: str, kind: ChallengeKind) -> Order:
        """Ask for a certificate of a new key for one name."""
        with _told(self._directory, hostname):
            acme = self._opened()
            key = ec.generate_private_key(ec.SECP256R1())
            pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            order = acme.new_order(crypto_util.make_csr(pem, domains=[hostname]))
            proofs, answers = [], []
            for authorization in order.authorizations:
                if authorization.body.status == messages.STATUS_VALID:  # shown not long ago
                    continue
                body = _challenge(authorization.body.challenges, kind, hostname)
                response, value = body.response_and_validation(self._key)
                token = body.chall.encode("token")
                proofs.append(Proof(token=token, name=f"_acme-challenge.{hostname}", value=value))
                answers.append((body, response))
            return Order(proofs=tuple(proofs), key=pem.decode(), order=order, answers=tuple(answers))

    def finish(self, hostname: str, order: Order) -> str:
        """Tell the authority to look, wait, and take the certificate: PEM with its chain, then its key. Two minutes at most."""
        with _told(self._directory, hostname):
            acme = self._opened()
            for body, response in order.answers:
                acme.answer_challenge(body, response)
            until = datetime.now() + timedelta(seconds=ORDER_TIMEOUT_S)  # without a zone, as the library wants it
            return f"{acme.poll_and_finalize(order.order, until).fullchain_pem}\n{order.key}"

    def _opened(self) -> client.ClientV2:
        if self._client is None:
            net = client.ClientNetwork(self._key, alg=ES256, user_agent=self._agent, timeout=ASK_TIMEOUT_S)
            net.verify_ssl = self._trust  # type: ignore[assignment]  # requests takes a path too
            self._client = client.ClientV2(client.ClientV2.get_directory(self._directory, net), net)
            asked = messages.NewRegistration.from_data(email=",".join(self._contact) or None, terms_of_service_agreed=True)
            try:
                self._client.new_account(asked)
            except errors.ConflictError as known:
                kept = messages.RegistrationResource(body=messages.Registration(), uri=known.location)
                self._client.query_registration(kept)
        return self._client


def account_key(secret: str) -> ec.EllipticCurvePrivateKey:
    """The account's key: as people gave it (PEM), else made of the secret's bytes, the same each time."""
    if "-----BEGIN" in secret:
        try:
            key = serialization.load_pem_private_key(secret.strip().encode(), password=None)
        except (ValueError, TypeError):  # the library's text may quote the key
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise StepFailed("the account's key is no P-256 key in PEM without a password", next="Set it again: cortops secrets set NAME")
        return key
    made = HKDF(algorithm=hashes.SHA256(), length=48, salt=None, info=b"cortops acme account").derive(secret.encode())
    return new_key(lambda count: made[:count])


def _challenge(offered: Any, kind: ChallengeKind, hostname: str) -> Any:
    wanted = challenges.HTTP01 if kind == "http-01" else challenges.DNS01
    body = next((body for body in offered if isinstance(body.chall, wanted)), None)
    if body is None:
        told = ", ".join(str(body.chall.typ) for body in offered) or "none"
        raise StepFailed(f"the authority offers no {kind} for {hostname}, only {told}", next="Set acme.challenge to one that it offers.")
    return body


@contextlib.contextmanager
def _told(directory: str, hostname: str) -> Iterator[None]:
    """Every failure of the library and of the network as what the authority said about this name."""

    def failed(why: str) -> StepFailed:
        return StepFailed(f"no certificate for {hostname}: {why[:400]}", where=directory)

    try:
        yield
    except errors.ValidationError as error:
        raise failed("; ".join(_reasons(error)) or "the authority could not see that the name is ours") from error
    except messages.Error as error:
        raise failed(f"{error.code or error.typ}: {error.detail or error.description or 'no reason given'}") from error
    except errors.IssuanceError as error:
        raise failed(str(error.error.detail or error.error)) from error
    except errors.TimeoutError as error:
        raise failed(f"the authority has not decided within {ORDER_TIMEOUT_S} s") from error
    except requests.exceptions.RequestException as error:
        raise failed(f"{directory} gives no answer ({type(error).__name__})") from error
    except (errors.Error, JoseError) as error:
        raise failed(f"{directory} answers what is no ACME ({type(error).__name__})") from error


def _reasons(error: errors.ValidationError) -> Iterator[str]:
    for authorization in error.failed_authzrs:
        for body in authorization.body.challenges:
            if body.error is not None:
                yield f"{body.chall.typ}: {body.error.detail or body.error.typ}"
