"""The storage of payloads: one conformance suite that a folder and an S3 pass, and what each fault is told as."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.programs.common.storage_rig import S3, folder, s3_server, s3_that_answers, settings

from cortops.programs.common.payload_storage import Storage, open_storage
from cortops.words.errors import BadInput, CredentialRefused, PayloadError, PayloadMissing, PayloadTooLarge, StorageUnreachable

pytestmark = pytest.mark.real

DIGEST = hashlib.sha256(b"payload storage test").hexdigest()
PLACE = f"lab/7/prompt/{DIGEST}"
DATA = bytes(range(256)) * 5


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def make(request: pytest.FixtureRequest, s3: S3, tmp_path: Path) -> Callable[..., Storage]:
    """Opens the storage under test, with settings changed."""

    def opened(**changed: Any) -> Storage:
        if request.param == "s3":
            return open_storage(s3.settings(**changed))
        return open_storage(settings(folder(tmp_path).payload_storage, **changed))

    return opened


def play(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


# --- conformance: every storage ---


def test_what_is_put_is_got_again_from_a_storage_opened_anew(make: Callable[..., Storage]) -> None:
    async def run() -> None:
        storage = make()
        await storage.put(PLACE, DATA)
        await storage.put(PLACE, DATA)
        assert await make().get(PLACE) == DATA
        await storage.delete(PLACE)
        with pytest.raises(PayloadMissing):
            await storage.get(PLACE)
        await storage.delete(PLACE)

    play(run())


def test_what_is_past_its_days_is_deleted_and_nothing_else(make: Callable[..., Storage]) -> None:
    async def run() -> None:
        storage = make()
        assert await storage.delete_older("empty", time.time() + 60) == 0
        for place in (PLACE, f"lab/8/result/{DIGEST}", f"lab2/7/prompt/{DIGEST}"):
            await storage.put(place, DATA)
        kept = [kept async for kept in storage.kept("lab")]
        assert sorted(one.place for one in kept) == [PLACE, f"lab/8/result/{DIGEST}"]
        assert all(one.size == len(DATA) and abs(one.at - time.time()) < 60 for one in kept)
        assert await storage.delete_older("lab", time.time() - 3600) == 0
        assert await storage.delete_older("lab", time.time() + 60) == 2
        assert await storage.get(f"lab2/7/prompt/{DIGEST}") == DATA
        await storage.delete(f"lab2/7/prompt/{DIGEST}")

    play(run())


def test_an_object_over_the_limit_is_neither_written_nor_read(make: Callable[..., Storage]) -> None:
    async def run() -> None:
        small = make(payload_object_max_mib=0.001)
        with pytest.raises(PayloadTooLarge):
            await small.put(PLACE, DATA)
        await make().put(PLACE, DATA)
        with pytest.raises(PayloadTooLarge):
            await small.get(PLACE)
        await make().delete(PLACE)

    play(run())


@pytest.mark.parametrize("place", ["", "/etc/passwd", "../x", "lab/../x", "lab/7//x", "Lab/7", f"{PLACE}/more/parts", "lab"])
def test_a_place_outside_the_grammar_is_asked_nowhere(make: Callable[..., Storage], place: str) -> None:
    async def run() -> None:
        with pytest.raises(BadInput):
            await make().get(place)

    play(run())


# --- faults ---


@pytest.mark.parametrize("changed", [{"storage_secret": "wrong"}, {"payload_key_id": "AKIANOBODY"}])
def test_a_credential_that_is_none_is_refused(s3: S3, changed: dict[str, str]) -> None:
    async def run() -> None:
        storage = open_storage(s3.settings(**changed))
        for asked in (storage.get(PLACE), storage.put(PLACE, DATA)):
            with pytest.raises(CredentialRefused) as caught:
                await asked
            assert s3.secret not in str(caught.value.as_dict())

    play(run())


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ExpiredToken", CredentialRefused),
        (403, "RequestTimeTooSkewed", CredentialRefused),
        (403, "AccessDenied", CredentialRefused),
        (404, "NoSuchKey", PayloadMissing),
        (404, "NoSuchBucket", StorageUnreachable),
        (400, "InvalidRequest", StorageUnreachable),
        (503, "SlowDown", StorageUnreachable),
    ],
)
def test_what_an_s3_answers_is_told_as(status: int, code: str, expected: type[PayloadError]) -> None:
    async def run() -> None:
        async with s3_that_answers(status, code) as server:
            with pytest.raises(expected) as caught:
                await open_storage(server.settings()).get(PLACE)
            assert type(caught.value) is expected

    play(run())


def test_a_storage_that_does_not_answer_is_unreachable() -> None:
    async def run() -> None:
        with pytest.raises(StorageUnreachable):
            await open_storage(S3("http://127.0.0.1:1", "id", "secret").settings()).get(PLACE)

    play(run())


def test_a_folder_is_closed_to_others_and_a_file_in_its_place_is_said(tmp_path: Path) -> None:
    open_storage(folder(tmp_path))
    assert (tmp_path / "payloads").stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnreachable, match="cannot be used"):
        open_storage(settings(str(tmp_path / "file")))


@pytest.mark.parametrize("where", ["", "payloads", "http://bucket", "s3://", "s3://UPPER", "s3://lab/a b"])
def test_a_storage_that_is_none_is_refused(where: str) -> None:
    with pytest.raises(BadInput, match="PAYLOAD_STORAGE"):
        open_storage(settings(where))
