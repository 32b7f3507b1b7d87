"""OpenAI's wire shapes, as far as the gateway reads and writes them: chat requests, errors, models, replies, event streams."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

DONE = b"data: [DONE]\n\n"
EVENT_END = b"\n\n"
WORDS_MAX = 200  # characters that are told of what does not fit: the client's own values may be among them
EVENT_MAX = 2**20  # bytes of one server-sent event; longer ones end the stream
TokensMax = Annotated[int, Meta(ge=1, le=1_000_000)]
INCLUDE_USAGE = Raw(b'{"include_usage":true}')


class ApiError(Struct, frozen=True, kw_only=True):
    """One error as clients see it: HTTP `status`, OpenAI's `type` and `code`, our words, and when to come again."""

    status: int
    code: str
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    retry_after_s: int | None = None

    def body(self, request_id: str) -> bytes:
        """The one JSON error shape: {"error": {message, type, code, param[, retry_after_s]}, "request_id"}."""
        shown: dict[str, Any] = {"message": self.message, "type": self.type, "code": self.code, "param": self.param}
        if self.retry_after_s is not None:
            shown["retry_after_s"] = self.retry_after_s
        return msgspec.json.encode({"error": shown, "request_id": request_id})

    def event(self, request_id: str) -> bytes:
        """The same as a server-sent event, for a stream that breaks after its head has been sent."""
        return b"data: " + self.body(request_id) + b"\n\n"


NOT_JSON = ApiError(status=400, code="invalid_json", message="the body is not JSON")


class ChatMessage(Struct):
    """One turn; all but its role is the member's business."""

    role: Annotated[str, Meta(min_length=1, max_length=64)]


class StreamOptions(Struct):
    """As OpenAI has it."""

    include_usage: bool | None = None


class ChatBody(Struct):
    """POST /v1/chat/completions, as far as the gateway looks; everything else passes untouched."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: TokensMax | None = None
    max_completion_tokens: TokensMax | None = None


class ChatRequest(Struct, frozen=True, kw_only=True):
    """What the gateway must know of a chat request; `body` is what the member gets. tokens_max: of the answer, 0 when not said."""

    model: str
    stream: bool
    wants_usage: bool
    body: bytes
    tokens_max: int = 0

    def __repr__(self) -> str:  # the body is a prompt
        return f"ChatRequest(model={self.model!r}, stream={self.stream})"


_chat_decoder = msgspec.json.Decoder(ChatBody)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])


def read_chat(body: bytes) -> ChatRequest | ApiError:
    """The body of POST /v1/chat/completions, or why it is none.

    Unknown fields are the member's business and pass untouched; a stream is asked for with its usage, which the gateway needs.
    """
    try:
        chat = _chat_decoder.decode(body)
        if chat.n not in (None, 1):
            return ApiError(status=400, code="unsupported_value", message="n must be 1: a task has one answer", param="n")
        wants_usage = chat.stream_options is not None and chat.stream_options.include_usage is True
        if chat.stream and not wants_usage:
            fields = _fields_decoder.decode(body)
            fields["stream_options"] = INCLUDE_USAGE
            body = msgspec.json.encode(fields)
        tokens_max = chat.max_completion_tokens or chat.max_tokens or 0
        return ChatRequest(model=chat.model, stream=chat.stream is True, wants_usage=wants_usage, body=body, tokens_max=tokens_max)
    except msgspec.ValidationError as error:
        return misfit(error)
    except (ValueError, RecursionError):
        return NOT_JSON


def misfit(error: msgspec.ValidationError) -> ApiError:
    """What msgspec says of a body that does not fit, with the place as `param`."""
    words, _, place = str(error).partition(" - at `$")
    field = place.strip("`").lstrip(".") or (re.findall(r"required field `(\w+)`", words) or [None])[0]
    message = f"the body does not fit: {words[:WORDS_MAX]}"
    return ApiError(status=400, code="invalid_body", message=message, param=field and field[:WORDS_MAX])


def models_page(aliases: Sequence[str], created: int) -> bytes:
    """GET /v1/models. That a model is listed does not say that a member is free (facts B)."""
    return msgspec.json.encode({"object": "list", "data": [_model(alias, created) for alias in aliases]})


def model_page(alias: str, created: int) -> bytes:
    """GET /v1/models/{id}."""
    return msgspec.json.encode(_model(alias, created))


def _model(alias: str, created: int) -> dict[str, Any]:
    return {"id": alias, "object": "model", "created": created, "owned_by": "cortensor"}


class Tokens(Struct, frozen=True):
    """Tokens as a member counted them; 0 where it did not."""

    prompt_tokens: Annotated[int, Meta(ge=0)] = 0
    completion_tokens: Annotated[int, Meta(ge=0)] = 0


_tokens_decoder = msgspec.json.Decoder(Tokens)


def read_tokens(usage: object) -> Tokens:
    """The `usage` of a reply; zeros for what is no usage."""
    try:
        return msgspec.convert(usage, Tokens)
    except msgspec.ValidationError:
        return Tokens()


def read_raw_tokens(usage: Raw) -> Tokens:
    """As read_tokens, of a usage as it came."""
    try:
        return _tokens_decoder.decode(usage)
    except (ValueError, RecursionError):
        return Tokens()


class Reply(Struct, frozen=True, kw_only=True):
    """A whole reply, ready for the client."""

    body: bytes
    tokens: Tokens


def rewrite_reply(body: bytes, *, alias: str, public_id: str) -> Reply | None:
    """A member's chat.completion under the alias and id that the client knows; None if it is no reply (an error, no JSON)."""
    try:
        if not body.isascii():
            body.decode()  # what is passed on as it is must be UTF-8
        reply: dict[str, Any] = _fields_decoder.decode(body)
    except (ValueError, RecursionError):
        return None
    if not bytes(reply.get("choices", b"")).startswith(b"["):
        return None
    usage = reply.get("usage")
    tokens = Tokens() if usage is None else read_raw_tokens(usage)
    reply["id"], reply["model"] = public_id, alias
    return Reply(body=msgspec.json.encode(reply), tokens=tokens)


def read_error(body: bytes) -> tuple[str, str]:
    """(message, code) of an error body in any shape seen (facts A.4: JSON or plain text); empty where it says nothing."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return "", ""
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str):
        return error[:500], ""
    if not isinstance(error, dict):
        return "", ""
    message, code = error.get("message"), error.get("code")
    return (message[:500] if isinstance(message, str) else ""), (code[:64] if isinstance(code, str) else "")


class StreamBroken(ValueError):
    """The member's stream is not what it should be."""


class MemberStream:
    """A member's event stream, a socket read at a time. What clients get of it is the subclass's: OpenAI's, or another dialect's.

    `feed(bytes)` gives the bytes to pass on, of whole events only; `last()` what ends the stream, kept back until usage is written.
    """

    def __init__(self) -> None:
        self.tokens = Tokens()
        self.done = False  # [DONE] was seen
        self.spoke = False  # an event with a choice was seen
        self.error: tuple[str, str] | None = None  # (message, code) of an error event
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """Raises StreamBroken for an event that is too long, no JSON, or that cannot be told."""
        block = self._tail + data if self._tail else data
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        end = block.rfind(b"\n\n") + 2
        if end == 1:
            end = 0
        self._tail = block[end:]
        if len(self._tail) > EVENT_MAX:
            raise StreamBroken("an event is too long")
        block = block[:end]
        if not block or self.done:
            return b""
        return self._block(block)

    def last(self) -> bytes:
        """The end of a good stream."""
        return DONE

    def _block(self, block: bytes) -> bytes:
        """Whole events; each is parsed unless the subclass knows better."""
        return b"".join([self._event(event) for event in block.split(b"\n\n") if event.strip()])

    def _event(self, event: bytes) -> bytes:
        """One event, parsed; b"" if the client does not get it."""
        lines = [line for line in event.split(b"\n") if line.startswith(b"data:")]
        if not lines:
            return event + b"\n\n"  # a comment that keeps the connection open
        data = b"\n".join([line[5:].removeprefix(b" ") for line in lines])
        if data.strip() == b"[DONE]":
            self.done = True
        if self.done:
            return b""
        try:
            chunk = msgspec.json.decode(data)
        except (ValueError, RecursionError) as error:
            raise StreamBroken("an event is not JSON") from error
        if not isinstance(chunk, dict):
            raise StreamBroken("an event is no object")
        if chunk.get("error") is not None:
            self.error = read_error(data)
            return b""
        if isinstance(chunk.get("usage"), dict):
            self.tokens = read_tokens(chunk["usage"])
        self.spoke = self.spoke or bool(chunk.get("choices"))
        try:
            return self._chunk(chunk, data)
        except RecursionError as error:  # in an answer there may be more around it
            raise StreamBroken("an event is too deep") from error

    def _chunk(self, chunk: dict[str, Any], data: bytes) -> bytes:
        """One chunk of the answer, its text in `data`, as the client gets it."""
        raise NotImplementedError


class StreamRewriter(MemberStream):
    """OpenAI's own: the member's chunks under the alias and id that the client knows.

    Most reads are rewritten without parsing: a member begins all its events alike, `data: {"id":...,"model":...`, which no JSON string
    can hold because its quotes would be escaped. A read in which anything looks otherwise is parsed event by event.
    """

    def __init__(self, *, alias: str, public_id: str, wants_usage: bool) -> None:
        super().__init__()
        self._alias = alias
        self._public_id = public_id
        self._wants_usage = wants_usage
        self._known: tuple[bytes, bytes] | None = None  # how the member begins its events, how we do

    def feed(self, data: bytes) -> bytes:
        if self._known is not None and not self._tail and not self.done and (out := self._replace(data, *self._known)):
            return out  # most reads are whole events
        return super().feed(data)

    def _block(self, block: bytes) -> bytes:
        return (self._known is not None and self._replace(block, *self._known)) or super()._block(block)

    def _replace(self, block: bytes, theirs: bytes, ours: bytes) -> bytes:
        """Whole events with their beginnings replaced, b"" if that may not be enough."""
        if not block.startswith(theirs) or not block.endswith(EVENT_END):
            return b""
        events = block.split(EVENT_END + theirs)
        if block.count(b"\n") != 2 * len(events):  # something stands between events, or in one of more than one line
            return b""
        if block.count(b'"usage"') != block.count(b'"usage":null') or b'"error"' in block:
            return b""
        events[0] = events[0][len(theirs) :]
        return ours + (EVENT_END + ours).join(events)

    def _chunk(self, chunk: dict[str, Any], data: bytes) -> bytes:
        if isinstance(chunk.get("usage"), dict) and not self._wants_usage:
            if not chunk.get("choices"):
                return b""
            del chunk["usage"]
        if self._known is None:
            self._learn(chunk, data)
        chunk["id"], chunk["model"] = self._public_id, self._alias
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"

    def _learn(self, chunk: dict[str, Any], data: bytes) -> None:
        """How this member begins its events, if id and model are among the plain fields before anything nested."""
        model = chunk.get("model")
        before, found, _ = data.partition(b'"model":' + msgspec.json.encode(model))
        if not found or not isinstance(model, str):
            return
        try:
            head = msgspec.json.decode(before + found + b"}", type=dict[str, str | int | float | None])
        except ValueError:  # something nested, or the text of one
            return
        if head.get("id") == chunk.get("id") and head.get("model") == model and "id" in head:
            ours = msgspec.json.encode({**head, "id": self._public_id, "model": self._alias})
            self._known = b"data: " + before + found, b"data: " + ours[:-1]
