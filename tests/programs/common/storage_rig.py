"""An S3 that checks signatures (moto's server), and one that answers what it is told to."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from aiohttp import web

from cortops.protocol.settings import PayloadSettings

BUCKET = "lab-payloads"
_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
_AS_ROOT = {
    "Host": "iam.amazonaws.com",
    "Content-Type": "application/x-www-form-urlencoded",
    "Authorization": "AWS4-HMAC-SHA256 Credential=root/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none",
}


def settings(storage: str, **more: Any) -> PayloadSettings:
    """An env file's payload keys; the chain's are of no meaning here."""
    chain = {"name": "r", "rpc_url": "", "chain_id": 1, "runtime": "", "address": "", "private_key": ""}
    return PayloadSettings(**{**chain, "payload_storage": storage, **more})


@dataclass(frozen=True, slots=True)
class S3:
    """A bucket, and a credential that it takes."""

    endpoint: str
    key_id: str
    secret: str

    def settings(self, **more: Any) -> PayloadSettings:
        """An env file that names it."""
        named = {"payload_endpoint": self.endpoint, "payload_key_id": self.key_id, "storage_secret": self.secret}
        return settings(f"s3://{BUCKET}/private", **{**named, **more})


@contextmanager
def s3_server() -> Iterator[S3]:
    """moto's server with one bucket; from then on every request must be signed by the one user it knows."""
    from moto import settings as moto_settings
    from moto.core.authorization import ActionAuthenticatorMixin
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    before = moto_settings.INITIAL_NO_AUTH_ACTION_COUNT
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        _ask(f"{url}/{BUCKET}", "PUT")
        _ask(url, "POST", "Action=CreateUser&UserName=u&Version=2010-05-08")
        made = _ask(url, "POST", "Action=CreateAccessKey&UserName=u&Version=2010-05-08")
        _ask(url, "POST", f"Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={quote(_POLICY)}&Version=2010-05-08")
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        ActionAuthenticatorMixin.request_count = 0
        key_id, secret = (re.findall(f"<{name}>([^<]+)<", made)[0] for name in ("AccessKeyId", "SecretAccessKey"))
        yield S3(url, key_id, secret)
    finally:
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = before
        server.stop()


def _ask(url: str, method: str, form: str = "") -> str:
    request = Request(url, data=form.encode(), headers=_AS_ROOT if form else {}, method=method)
    with urlopen(request) as reply:
        return str(reply.read().decode())


@asynccontextmanager
async def s3_that_answers(status: int, code: str) -> AsyncIterator[S3]:
    """Every request is answered with this status and S3 error code."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="application/xml")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield S3(f"http://127.0.0.1:{runner.addresses[0][1]}", "id", "secret")
    finally:
        await runner.cleanup()


def folder(path: Path) -> PayloadSettings:
    """An env file that names a folder, which need not be there yet."""
    return settings(str(path / "payloads"))
