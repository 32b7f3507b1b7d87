"""Ask an HTTP question once."""

from __future__ import annotations

import ssl

from cortops.protocol.http import HttpClient, HttpFailure
from cortops.words.clock import Clock
from cortops.words.question import Answer, Http, NoAnswer, Reply, Silence

BODY_MAX_MIB = 1.0


def trust(ca_file: str, ca_pem: str = "") -> ssl.SSLContext | str:
    """A client context that trusts these only (both empty: the system's authorities), or why they cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca_file or None, cadata=ca_pem or None)
    except OSError as error:
        what = f"the CA file {ca_file}" if ca_file else "the CA's certificate"
        return f"{what} cannot be read: {error.strerror or error}"


async def ask_http(question: Http, client: HttpClient, clock: Clock) -> Reply:
    """Http -> Answer with status and body (up to BODY_MAX_MIB), or NoAnswer. A CA file that cannot be read is silence of our own."""
    at, begun = clock.now(), clock.monotonic()
    tls = trust(question.ca_file, question.ca_pem) if question.url.startswith("https:") else None
    if isinstance(tls, str):
        return NoAnswer(question=question.id, at=at, elapsed_s=0, silence=Silence.LOST, why=tls)
    try:
        reply = await client.request(
            question.method,
            question.url,
            headers=question.headers,
            body=question.body,
            timeout_s=question.timeout_s,
            body_max_mib=BODY_MAX_MIB,
            connect_to=question.connect_to,
            tls=tls,
        )
    except HttpFailure as failure:
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=failure.silence, why=failure.what)
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=reply.status, body=reply.body)
