"""A certificate authority of ours that speaks ACME (RFC 8555) over HTTPS on loopback. It stands in for the public ones: label it so.

It checks what they check: nonces once, signatures of the account's key, http-01 by a request to the hostname's nginx, dns-01 by a query.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cortops.deploy import authority
from cortops.probes.dns import DnsRefusal, query
from cortops.words.clock import Clock

FETCH_TIMEOUT_S = 5.0
ORDERS_MAX = 1000
LOOPBACK = "127.0.0.1"


class Problem(Exception):
    """What a request is refused for: RFC 8555 6.7."""

    def __init__(self, kind: str, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.status = kind, detail, status


@dataclass(slots=True, kw_only=True)
class Manner:
    """How it behaves; change it at any time. life_days, begun_days: what is left and gone of the life of what it signs. refuses: kind of
    problem that every new order gets.
    """

    life_days: float = 90
    begun_days: float = 1 / 24
    refuses: str = ""


@dataclass(slots=True, kw_only=True)
class _Order:
    names: tuple[str, ...]
    token: str
    status: str = "pending"
    error: dict[str, str] | None = None
    certificate: str = ""


@dataclass(slots=True, kw_only=True)
class AcmeServer:
    """One that runs. signed: the names of every certificate so far. fetched: what it asked hostnames for. accounts: thumbprints."""

    clock: Clock
    root: authority.Issued
    http_port: int
    dns: tuple[str, int] | None
    random_bytes: Callable[[int], bytes]
    manner: Manner = field(default_factory=Manner)
    signed: list[tuple[str, ...]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    port: int = 0
    nonces: set[str] = field(default_factory=set)
    orders: list[_Order] = field(default_factory=list)
    keys: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def directory(self) -> str:
        return f"{self.url}/directory"

    def app(self) -> web.Application:
        """All its routes (RFC 8555 7.1)."""
        app = web.Application(middlewares=[self._guarded])
        app.add_routes([web.get("/directory", self._directory), web.route("*", "/nonce", self._nonce)])
        posts: Mapping[str, Callable[[str, dict[str, Any], Any], Awaitable[web.Response]]] = {
            "/account": self._account,
            "/account/{number}": self._known,
            "/order": self._new_order,
            "/order/{number}": self._order,
            "/authorization/{number}": self._authorization,
            "/challenge/{kind}/{number}": self._challenge,
            "/finalize/{number}": self._finalize,
            "/certificate/{number}": self._certificate,
        }
        app.add_routes([web.post(path, self._post(handle)) for path, handle in posts.items()])
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        try:
            answer = await handler(request)
        except Problem as problem:
            body = {"type": f"urn:ietf:params:acme:error:{problem.kind}", "detail": problem.detail, "status": problem.status}
            answer = web.json_response(body, status=problem.status, content_type="application/problem+json")
        answer.headers["Replay-Nonce"] = self._fresh()
        return answer

    def _fresh(self) -> str:
        nonce = _text(self.random_bytes(16))
        self.nonces.add(nonce)
        return nonce

    async def _directory(self, request: web.Request) -> web.Response:
        return web.json_response({f"new{name.title()}": f"{self.url}/{name}" for name in ("nonce", "account", "order")})

    async def _nonce(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if request.method == "HEAD" else 204)

    def _post(self, handle: Callable[[str, dict[str, Any], Any], Awaitable[web.Response]]) -> Callable[[web.Request], Any]:
        async def verified(request: web.Request) -> web.Response:
            jws = json.loads(await request.read())
            head = json.loads(_bytes(jws["protected"]))
            if head.get("nonce") not in self.nonces:
                raise Problem("badNonce", "this nonce is not one of mine, or was used")
            self.nonces.remove(head["nonce"])
            if head.get("url") != f"{self.url}{request.path}":
                raise Problem("unauthorized", "signed for another address", 403)
            jwk = head["jwk"] if "jwk" in head else self.keys[int(head["kid"].rpartition("/")[2])]
            _demand_signed(jws, jwk)
            body = json.loads(_bytes(jws["payload"]) or b"null")
            return await handle(request.path, body, {"jwk": jwk, **request.match_info})

        return verified

    async def _account(self, path: str, body: dict[str, Any], about: Any) -> web.Response:
        known = about["jwk"] in self.keys
        if not known:
            if not body.get("termsOfServiceAgreed"):
                raise Problem("userActionRequired", "the terms of service must be agreed to", 403)
            self.keys.append(about["jwk"])
            self.accounts.append(_thumbprint(about["jwk"]))
        where = f"{self.url}/account/{self.keys.index(about['jwk'])}"
        return web.json_response({"status": "valid"}, status=200 if known else 201, headers={"Location": where})

    async def _known(self, path: str, body: dict[str, Any], about: Any) -> web.Response:
        return web.json_response({"status": "valid"}, headers={"Location": f"{self.url}{path}"})

    async def _new_order(self, path: str, body: dict[str, Any], about: Any) -> web.Response:
        if self.manner.refuses or len(self.orders) >= ORDERS_MAX:
            raise Problem(self.manner.refuses or "rateLimited", "too many orders for this name", 429)
        names = tuple(item["value"] for item in body["identifiers"])
        self.orders.append(_Order(names=names, token=_text(self.random_bytes(24))))
        return self._told(len(self.orders) - 1, status=201)

    async def _order(self, path: str, body: dict[str, Any], about: Any) -> web.Response:
        return self._told(int(about["number"]))

    def _told(self, number: int, status: int = 200) -> web.Response:
        order = self.orders[number]
        body: dict[str, Any] = {
            "status": order.status,
            "identifiers": [{"type": "dns", "value": name} for name in order.names],
            "authorizations": [f"{self.url}/authorization/{number}"],
            "finalize": f"{self.url}/finalize/{number}",
        }
        body |= {"certificate": f"{self.url}/certificate/{number}"} if order.certificate else {}
        return web.json_response(body, status=status, headers={"Location": f"{self.url}/order/{number}"})

    async def _authorization(self, path: str, body: dict[str, Any], about: Any) -> web.Response:
        number = int(about["number"])
        order = self.orders[number]
        state = "valid" if order.status in ("ready", "valid") else order.status
        kinds = ("http-01", "dns-01") if self.dns else ("http-01",)
        offered = [self._offer(kind, number) for kind in kinds]
        return web.json_response({"status": state, "identifier": {"type": "dns", "value": order.names[0]}, "challenges": offered})

    def _offer(self, kind: str, number: int) -> dict[str, Any]:
        order = self.orders[number]
        state = {"pending": "pending", "invalid": "invalid"}.get(order.status, "valid")
        offer = {"type": kind, "status": state, "url": f"{self.url}/challenge/{kind}/{number}", "token": order.token}
        return offer | ({"error": order.error} if order.error else {})

    async def _challenge(self, path: str, body: dict[str, Any], about: Any) -> web.Response:
        """Looked at while the client waits, so that nobody has to poll."""
        number, kind = int(about["number"]), about["kind"]
        order = self.orders[number]
        proof = f"{order.token}.{_thumbprint(about['jwk'])}"
        why = await (self._asked_by_http(order, proof) if kind == "http-01" else self._asked_by_dns(order, proof))
        order.status = "invalid" if why else "ready"
        order.error = {"type": "urn:ietf:params:acme:error:unauthorized", "detail": why} if why else None
        up = f'<{self.url}/authorization/{number}>;rel="up"'
        return web.json_response(self._offer(kind, number), headers={"Link": up})

    async def _asked_by_http(self, order: _Order, proof: str) -> str:
        """Why it does not show; "" where it does. Every hostname leads to loopback here."""
        path = f"/.well-known/acme-challenge/{order.token}"
        self.fetched.append(f"http://{order.names[0]}{path}")
        try:
            async with ClientSession(timeout=ClientTimeout(FETCH_TIMEOUT_S)) as session:
                url = f"http://{LOOPBACK}:{self.http_port}{path}"
                async with session.get(url, headers={"Host": order.names[0]}, allow_redirects=False) as answer:
                    text = await answer.text()
                    return "" if (answer.status, text) == (200, proof) else f"{order.names[0]} answers {answer.status}, not the proof"
        except (ClientError, TimeoutError, OSError) as error:
            return f"{order.names[0]} gives no answer on port {self.http_port} ({type(error).__name__})"

    async def _asked_by_dns(self, order: _Order, proof: str) -> str:
        assert self.dns is not None
        name, wanted = f"_acme-challenge.{order.names[0]}", _text(hashlib.sha256(proof.encode()).digest())
        self.fetched.append(f"dns {name} TXT")
        try:
            found = await query(self.dns, name, "TXT", FETCH_TIMEOUT_S)
        except (DnsRefusal, OSError) as error:
            return f"no answer for {name} TXT ({type(error).__name__})"
        return "" if f'"{wanted}"' in found.values else f"{name} has {len(found.values)} TXT records, and none is the proof"

    async def _finalize(self, path: str, body: dict[str, Any], about: Any) -> web.Response:
        number = int(about["number"])
        order = self.orders[number]
        if order.status != "ready":
            raise Problem("orderNotReady", f"the order is {order.status}", 403)
        asked = x509.load_der_x509_csr(_bytes(body["csr"]))
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        if tuple(names) != order.names or not asked.is_signature_valid:
            raise Problem("badCSR", f"it is for {', '.join(names)}, ordered were {', '.join(order.names)}")
        order.certificate = self._sign(asked, order.names)
        order.status = "valid"
        self.signed.append(order.names)
        return self._told(number)

    def _sign(self, asked: x509.CertificateSigningRequest, names: tuple[str, ...]) -> str:
        """The certificate with its chain. Its serial is random, its key the asker's."""
        signer = x509.load_pem_x509_certificate(self.root.certificate.encode())
        key = serialization.load_pem_private_key(self.root.key.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = self.clock.now()
        public = asked.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        builder = (
            x509.CertificateBuilder(issuer_name=signer.subject, subject_name=x509.Name([]), public_key=public)
            .serial_number(int.from_bytes(self.random_bytes(19)) + 1)
            .not_valid_before(authority.time_of(now - self.manner.begun_days * 86_400))
            .not_valid_after(authority.time_of(now + self.manner.life_days * 86_400))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        signed = builder.sign(key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode() + self.root.certificate

    async def _certificate(self, path: str, body: dict[str, Any], about: Any) -> web.Response:
        return web.Response(text=self.orders[int(about["number"])].certificate, content_type="application/pem-certificate-chain")


@asynccontextmanager
async def acme_server(
    clock: Clock, random_bytes: Callable[[int], bytes], *, http_port: int, dns: tuple[str, int] | None = None
) -> AsyncIterator[AcmeServer]:
    """One that runs on a free port; `root.certificate` is what its directory and its certificates are trusted by.

    http_port: where it asks every hostname, on loopback. dns: whom it asks for records; dns-01 is offered only then.
    """
    root = authority.make_authority("test authority", clock.now(), random_bytes)
    own = authority.issue(root, ["localhost"], clock.now(), random_bytes)
    server = AcmeServer(clock=clock, root=root, http_port=http_port, dns=dns, random_bytes=random_bytes)
    runner = web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=_served(own))
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


def _served(own: authority.Issued) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.pem"
        path.write_text(own.certificate + own.key)
        context.load_cert_chain(path)
    return context


def _demand_signed(jws: Mapping[str, str], jwk: Mapping[str, str]) -> None:
    """ES256 over `protected.payload`. Source: RFC 7515 5.2, RFC 7518 3.4."""
    x, y = (int.from_bytes(_bytes(jwk[part])) for part in ("x", "y"))
    raw = _bytes(jws["signature"])
    signature = utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        key.verify(signature, f"{jws['protected']}.{jws['payload']}".encode(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise Problem("malformed", "the signature is not of that account's key") from error


def _thumbprint(jwk: Mapping[str, str]) -> str:
    """Source: RFC 7638 3."""
    text = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True)
    return _text(hashlib.sha256(text.encode()).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
