"""Shake hands and read the certificate."""

from __future__ import annotations

import asyncio
import json
import ssl

from cortops.probes.http import trust
from cortops.protocol.http import silence_of
from cortops.words.clock import Clock
from cortops.words.question import Answer, NoAnswer, Reply, Silence, Tls


async def ask_tls(question: Tls, clock: Clock) -> Reply:
    """Tls -> Answer with {"not_after": seconds since 1970, "names": [...]}; `untrusted` when name, chain or date do not hold."""
    at, begun = clock.now(), clock.monotonic()

    def silent(silence: Silence, why: str) -> NoAnswer:
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=silence, why=why)

    trusted = trust(question.ca_file)
    if isinstance(trusted, str):
        return silent(Silence.LOST, trusted)
    try:
        async with asyncio.timeout(question.timeout_s):
            _, writer = await asyncio.open_connection(question.host, question.port, ssl=trusted, server_hostname=question.server_name)
    except ssl.SSLCertVerificationError as error:
        return silent(Silence.UNTRUSTED, error.verify_message)
    except TimeoutError:
        return silent(Silence.TIMEOUT, f"no handshake with {question.server_name} within {question.timeout_s:g} s")
    except OSError as error:
        return silent(silence_of(error), f"{question.host}:{question.port}: {error.strerror or error}")
    certificate = writer.get_extra_info("peercert") or {}
    writer.close()
    body = {
        "not_after": ssl.cert_time_to_seconds(certificate["notAfter"]),
        "names": [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"],
    }
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=json.dumps(body).encode())
