"""Where sealed payloads lie: a folder, or a bucket that speaks S3; both through obstore, imported when a storage is opened.

What lies there is sealed and named by its digest, so writing twice changes nothing, and nobody need trust the storage. Every fault is one
of words.errors: PayloadMissing, CredentialRefused, PayloadTooLarge, StorageUnreachable.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, NoReturn

from cortops.protocol.settings import PayloadSettings
from cortops.words.errors import BadInput, CredentialRefused, PayloadMissing, PayloadTooLarge, StorageUnreachable

ASK_TIMEOUT_S = 10
RETRIES_MAX = 2
PLACE = re.compile(r"[a-z0-9-]{1,63}(?:/[a-z0-9-]{1,64}){1,3}")
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]{1,256}))?")
# What an S3 answers to a key that has expired, was taken away, or is none; the library tells some of them only in words.
_CREDENTIAL = re.compile(
    "ExpiredToken|TokenRefreshRequired|InvalidToken|InvalidAccessKeyId|InvalidClientTokenId|SignatureDoesNotMatch|AccessDenied"
    "|RequestTimeTooSkewed|AuthFailure|(?:status|Status)[^0-9]{0,12}40[13]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One object of a listing. at: seconds since 1970 when it was written. size: bytes."""

    place: str
    at: float
    size: int


class Storage:
    """Objects by place, `ENVIRONMENT/SESSION/DIRECTION/DIGEST`. where: what people are told, without any secret."""

    def __init__(self, store: Any, where: str, object_max_mib: float) -> None:
        self.where = where
        self._store = store
        self._bytes_max = int(object_max_mib * 2**20)

    async def put(self, place: str, data: bytes) -> None:
        """Write whole or not at all; over what is there already, too. Raises PayloadError."""
        if len(data) > self._bytes_max:
            raise PayloadTooLarge(f"an object of {len(data)} bytes, at most {self._bytes_max} are kept", where=self.where)
        with _Told(self.where, place):
            await self._store.put_async(_checked(place), data)

    async def get(self, place: str) -> bytes:
        """The object's bytes; one that is too large is not read. Raises PayloadError."""
        with _Told(self.where, place):
            found = await self._store.get_async(_checked(place))
            size = int(found.meta["size"])
            if size > self._bytes_max:
                raise PayloadTooLarge(f"an object of {size} bytes, at most {self._bytes_max} are read", where=self.where)
            return bytes(await found.bytes_async())

    async def delete(self, place: str) -> None:
        """Of one that is not there nothing is said. Raises PayloadError."""
        try:
            with _Told(self.where, place):
                await self._store.delete_async(_checked(place))
        except PayloadMissing:
            return

    async def kept(self, below: str) -> AsyncIterator[Kept]:
        """Everything below a place's first part or parts, as it comes. Raises PayloadError."""
        with _Told(self.where, below):
            async for page in self._store.list(below):
                for entry in page:
                    yield Kept(place=entry["path"], at=entry["last_modified"].astimezone(UTC).timestamp(), size=int(entry["size"]))

    async def delete_older(self, below: str, before: float) -> int:
        """Delete what was written before that time; how many. Raises PayloadError."""
        old = [kept.place async for kept in self.kept(below) if kept.at < before]
        for place in old:
            await self.delete(place)
        return len(old)


def open_storage(settings: PayloadSettings) -> Storage:
    """The storage that an env file names: a folder's path or `s3://BUCKET[/PREFIX]`. Raises BadInput, StorageUnreachable."""
    where = settings.payload_storage
    try:
        from obstore.store import LocalStore, S3Store
    except ImportError as error:
        raise StorageUnreachable("obstore is not installed here", next="Install it: pip install 'cortops[payloads]'") from error
    if where.startswith("/"):
        try:
            Path(where).mkdir(mode=0o700, parents=True, exist_ok=True)
            return Storage(LocalStore(where), where, settings.payload_object_max_mib)
        except Exception as error:
            raise StorageUnreachable(f"the folder {where} cannot be used", where=where, why=str(error)[:200]) from error
    found = _BUCKET.fullmatch(where)
    if found is None:
        raise BadInput("PAYLOAD_STORAGE is neither a folder's absolute path nor s3://BUCKET[/PREFIX]", where="env file")
    endpoint = settings.payload_endpoint
    named = {
        "access_key_id": settings.payload_key_id,
        "secret_access_key": settings.storage_secret,
        "session_token": settings.storage_token,
        "endpoint": endpoint,
    }
    store = S3Store(
        found[1],
        prefix=found[2],
        region=settings.payload_region,
        virtual_hosted_style_request=False,
        client_options={"timeout": timedelta(seconds=ASK_TIMEOUT_S), "allow_http": endpoint.startswith("http://")},
        retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=ASK_TIMEOUT_S)},
        **{name: value for name, value in named.items() if value},  # type: ignore[arg-type]
    )
    return Storage(store, where, settings.payload_object_max_mib)


def _checked(place: str) -> str:
    if PLACE.fullmatch(place) is None:
        raise BadInput("this is no place of a payload")
    return place


class _Told:
    """What the library raises, as one of ours."""

    def __init__(self, where: str, place: str) -> None:
        self._where = f"{where.rstrip('/')}/{place}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from obstore.exceptions import BaseError

        if isinstance(error, BaseError | OSError):
            self._tell(error)

    def _tell(self, error: BaseException) -> NoReturn:
        from obstore.exceptions import NotFoundError, PermissionDeniedError, UnauthenticatedError

        if isinstance(error, NotFoundError | FileNotFoundError) and "NoSuchBucket" not in str(error):
            raise PayloadMissing("there is no such object in the storage", where=self._where) from error
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError) or _CREDENTIAL.search(str(error)):
            raise CredentialRefused("the storage does not take our credential", where=self._where) from error
        raise StorageUnreachable("the storage does not answer as it should", where=self._where, why=type(error).__name__) from error
