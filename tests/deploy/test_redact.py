from __future__ import annotations

import base64
import json
import math
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cortops.contracts.keccak import keccak_hex
from cortops.deploy.authority import make_authority
from cortops.deploy.redact import REDACTED, SIEVE_STEP_MAX, VALUE_MIN_CHARS, Redactor, forms_of, is_sensitive, redact_shapes

KEY = keccak_hex(b"a key of this test")
HASH = keccak_hex(b"a transaction of this test")
TOKEN = base64.urlsafe_b64encode(keccak_hex(b"a token").encode()).decode()[:43]

secrets = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=6, max_size=60)
# What stands around a secret: never part of one, so that what is found is the secret itself.
around = st.text("<>|!", max_size=5)


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@settings(max_examples=25, deadline=None)
@given(secrets, around, around)
@example("a/b+c d=ü&%", "", "")
@example("-----BEGIN", "", "")
def test_a_known_value_goes_in_every_form(value: str, before: str, after: str) -> None:
    redactor = Redactor([value])
    for form in (value, quote(value, safe=""), quote(value), quote_plus(value), base64_of(value), json.dumps(value)[1:-1]):
        redacted = redactor.redact(f"{before}{form}{after}")
        assert form.rstrip("=") not in redacted.replace(REDACTED, "\0")
        assert REDACTED in redacted


@settings(max_examples=25, deadline=None)
@given(
    secrets.filter(lambda value: len(value.encode()) >= 12),
    st.text(string.ascii_letters, max_size=7),
    st.text(string.ascii_letters, max_size=7),
)
def test_a_known_value_inside_base64_goes_but_for_its_ragged_ends(value: str, before: str, after: str) -> None:
    """`Basic` authorization and mounted secrets: base64 of `name:value` shows at most the letters that the neighbours share."""
    encoded = base64_of(f"{before}:{value}{after}")
    head, tail = Redactor([value]).redact(encoded).split(REDACTED)
    assert len(head) <= math.ceil((len(before) + 1) * 8 / 6)
    assert len(tail.rstrip("=")) <= math.ceil(len(after) * 8 / 6) + 1  # a letter of 6 bits may belong to both


def place_by_place(values: list[str], text: str) -> str:
    """What taking values out means: at each place, from the left, the longest form that stands there."""
    forms = sorted((form for value in values for form in forms_of(value) if len(form) >= VALUE_MIN_CHARS), key=len, reverse=True)
    kept, at = "", 0
    while at < len(text):
        form = next((form for form in forms if text.startswith(form, at)), "")
        kept += REDACTED if form else text[at]
        at += len(form) or 1
    return kept


# Few letters, so that values begin alike, hold one another and overlap; lengths on both sides of every class and of the largest step.
alike = st.text("ab", max_size=14) | st.text("abc/", min_size=20, max_size=2 * SIEVE_STEP_MAX)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(alike | secrets, max_size=6))
def test_values_go_as_if_looked_for_at_every_place(data: st.DataObject, values: list[str]) -> None:
    forms = st.sampled_from(sorted({form for value in values for form in forms_of(value)} | {""}))
    cut = st.builds(lambda form, start, end: form[start : len(form) - end], forms, st.integers(0, 3), st.integers(0, 3))
    text = "".join(data.draw(st.lists(forms | cut | st.text("ab. ", max_size=40), max_size=8)))
    assert Redactor(values)._values(text) == place_by_place(values, text)


@pytest.mark.parametrize("length", [6, 7, 11, 12, 23, 24, 36, 37, 38, 200])
def test_a_value_is_found_wherever_it_begins(length: int) -> None:
    value = (TOKEN * 5)[:length]
    redactor = Redactor([value])
    for before in range(2 * SIEVE_STEP_MAX + 2):
        assert redactor.redact("." * before + value) == "." * before + REDACTED


@given(st.lists(secrets, max_size=4), st.text(max_size=80))
def test_redacting_twice_changes_nothing_more(values: list[str], text: str) -> None:
    redactor = Redactor([value for value in values if value not in REDACTED])
    once = redactor.redact(text)
    assert redactor.redact(once) == once


@pytest.mark.parametrize("form", [KEY, KEY[2:], KEY.upper().replace("0X", "0x"), KEY[2:].upper()])
def test_a_private_key_goes_with_and_without_0x(form: str) -> None:
    assert form[2:20] not in Redactor([KEY]).redact(f"signed by {form}.")


def test_a_key_block_cut_into_lines_goes_line_by_line() -> None:
    key = make_authority("lab", 1_800_000_000, lambda length: KEY.encode()[:length]).key
    redacted = Redactor([key]).redact("\n".join(f"nginx[12]: {line}" for line in key.splitlines()))
    assert not any(line in redacted for line in key.splitlines() if len(line) >= 16 and not line.startswith("-----"))


@pytest.mark.parametrize("label", ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
def test_an_unknown_key_block_goes_and_a_certificate_stays(label: str) -> None:
    block = f"-----BEGIN {label}-----\n{TOKEN}\n-----END {label}-----"
    certificate = f"-----BEGIN CERTIFICATE-----\n{TOKEN}\n-----END CERTIFICATE-----"
    assert redact_shapes(f"a {block} b") == f"a {REDACTED} b"
    assert TOKEN not in redact_shapes(json.dumps({"file": block}))
    assert TOKEN not in redact_shapes(block[:-10])
    assert redact_shapes(certificate) == certificate


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}",
        "authorization: Basic {}",
        '-H "authorization: Bearer {}" -d x',
        "sent Bearer {} to it",
        "Cookie: session={}; other=1",
        "API_KEY={}",
        "export NODE_PRIVATE_KEY='{}'",
        'apiKey = "{}"',
        "api_key: {}",
        '{{"api_key": "{}", "n": 1}}',
        '{{"body": "{{\\"api_key\\":\\"{}\\"}}"}}',
        "https://h.example/?token={}&n=1",
        "https://me:{}@h.example/x",
        "--api-key {}",
        "--password={}",
        "db.password={} user=x",
        "dbPassword: {}",
        "X-Api-Key: {}",
        "secret={}",
        "{{'access_token': '{}'}}",
        "seed_phrase={}",
    ],
)
@given(value=st.text(string.ascii_letters + string.digits + "-_", min_size=7, max_size=44).map(lambda text: text + "7"))
def test_an_unknown_secret_goes_by_its_field_or_place(text: str, value: str) -> None:
    assume(not value.startswith("--"))  # after an option that is the next option
    redacted = redact_shapes(text.format(value))
    assert value not in redacted.replace(REDACTED, "\0")
    assert REDACTED in redacted


def test_our_keys_and_age_identities_go_wherever_they_stand() -> None:
    key, identity = f"ck_local_{TOKEN}1", "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2
    assert redact_shapes(f"try {key} or {identity}") == f"try {REDACTED} or {REDACTED}"


@pytest.mark.parametrize(
    "field",
    ["tx", "hash", "block_hash", "transactionHash", "precommit", "address", "NODE_PUBLIC_KEY", "sha256", "digest", "task", "key", "topic",
     "max_tokens", "completion_tokens", "gas_token", "native_token", "first_token_s", "token_count", "secret_name", "api_key_id",
     "key_hash"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["{}={}", "{}: {}", '{{"{}": "{}"}}', "--{} {}"])
def test_a_transaction_hash_is_not_a_key(field: str, form: str) -> None:
    text = form.format(field, HASH)
    assert Redactor([KEY, TOKEN]).redact(text) == text


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_of_two_that_look_alike_only_the_known_or_named_goes(one: bytes, other: bytes) -> None:
    key, tx = f"0x{one.hex()}", f"0x{other.hex()}"
    text = f"tx {tx} mined, hash={tx}, private_key={key}"
    if one != other:
        assert redact_shapes(text) == f"tx {tx} mined, hash={tx}, private_key={REDACTED}"
        assert Redactor([key]).redact(f"{tx} {key}") == f"{tx} {REDACTED}"


@pytest.mark.parametrize(
    "text",
    [
        "router-1 answers with a head 41 blocks behind",
        "the bearer of this certificate, the token of a session, a secret ballot",
        "api_key: {secret: router-1/api-key}",
        "secret: router-1/api-key",
        "password: null, token: none",
        "cortops secrets set router-1/api-key",
        "usage prompt_tokens=12 completion_tokens=40",
        "https://gateway.localhost:8443/v1/chat/completions",
        f"submitted 0/7 in {HASH} at block 9",
        "the basic authentication of nginx",
        "file:/etc/nginx/sites/api.lab.example read_timeout 300 -> 480",
        "task-queue-of-the-router-1, disk-usage-of-host-12345678",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor([KEY, TOKEN]).redact(text) == text


@given(st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=12), max_size=30).map(" ".join))
def test_prose_without_values_stays(text: str) -> None:
    assert redact_shapes(text) == text


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(Redactor(["some-known-value"]).redact(text), str)


@pytest.mark.parametrize(
    "field", ["API_KEY", "dbPassword", "router.token", "NODE_PRIVATE_KEY", "auth_token", "passwordHash", "client-secret"]
)
def test_sensitive_fields(field: str) -> None:
    assert is_sensitive(field)


def test_a_short_value_is_taken_out_by_field_only() -> None:
    assert Redactor(["on"]).redact("on the host, password=on") == f"on the host, password={REDACTED}"


def test_many_secrets_cost_no_more_than_few() -> None:
    """Counted, not timed: each place of a text is looked up once, whatever the number of values."""
    values = [keccak_hex(str(number).encode()) for number in range(1000)]
    redactor = Redactor(values)
    assert sum(map(len, redactor._by_head.values())) >= 1000
    text = "x" * 10_000 + values[500]
    assert redactor.redact(text) == "x" * 10_000 + REDACTED


def test_hostile_text_comes_back() -> None:
    """A pattern of quadratic cost would take minutes here."""
    for piece in ('a="', "a='", 'a=\\"', "a a ", "://a:", "bearer ", "-----BEGIN PRIVATE KEY-----", "authorization: ", "ck_", "a.", '"\\'):
        assert len(redact_shapes(piece * 3000)) > 0


def test_it_shows_nothing_itself() -> None:
    assert KEY not in repr(Redactor([KEY]))
