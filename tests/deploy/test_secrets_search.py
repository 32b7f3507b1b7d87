"""The search for values on a machine, by the real program: where they stand, in every form, and nothing of them in what comes out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from cortops.deploy import authority
from cortops.deploy.secrets_search import Found, Haystack, KeyFile, Searched, in_texts, patterns, program, read, search
from cortops.targets.local import LocalTarget
from cortops.testing.clock import START

KEY = "0x" + hashlib.sha256(b"a key of this test").hexdigest()
TOKEN = base64.urlsafe_b64encode(hashlib.sha256(b"a token").digest()).decode().rstrip("=")
ISSUED = authority.make_authority("lab", START, lambda count: hashlib.shake_256(b"lab").digest(count))
VALUES = {"miner-1/key": KEY, "router-1/api-key": TOKEN, "local-ca": ISSUED.key}


def searched(hay: Haystack, values: Mapping[str, str] = VALUES) -> Searched:
    found = asyncio.run(search(LocalTarget("here"), hay, values, ISSUED.certificate))
    assert found.why == ""
    return found


def places(folder: Path, **kinds: str) -> Haystack:
    for name, text in kinds.items():
        (folder / name).write_text(text)
    return Haystack(places=(str(folder),), system=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("miner-1/key", f"NODE_PRIVATE_KEY={KEY}\n"),
        ("miner-1/key", f"key {KEY[2:].upper()} in hex"),
        ("miner-1/key", base64.b64encode(f"a: {KEY}!".encode()).decode()),
        ("router-1/api-key", json.dumps({"authorization": f"Bearer {TOKEN}"})),
        ("router-1/api-key", f"GET /?key={quote(TOKEN)} 200"),
        ("local-ca", ISSUED.key),
        ("local-ca", ISSUED.key.replace("\n", "\\n")),
        ("local-ca", f"cut off: {ISSUED.key.splitlines()[1]}"),
    ],
)
def test_a_value_is_found_in_every_form(tmp_path: Path, name: str, text: str) -> None:
    hay = places(tmp_path, a_file=text, other="nothing of ours")
    (tmp_path / "a_file").chmod(0o640)
    assert searched(hay).found == (Found(host="here", where="file", secret=name, place=f"{tmp_path}/a_file", mode=0o640),)


def test_names_addresses_and_certificates_are_no_values(tmp_path: Path) -> None:
    hay = places(tmp_path, plan="secret miner-1/key, local-ca", etc=ISSUED.certificate, tx=hashlib.sha256(b"a transaction").hexdigest())
    assert searched(hay).found == ()


def test_binary_files_odd_names_and_deep_folders_are_searched_and_blobs_are_not(tmp_path: Path) -> None:
    deep = tmp_path / "a b" / "c\td" / "$(touch x)"
    deep.mkdir(parents=True)
    (deep / "-rf it's").write_bytes(b"\0\xff" + TOKEN.encode() + b"\0")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "release").write_text(TOKEN)
    (tmp_path / "many").mkdir()
    for number in range(450):
        (tmp_path / "many" / str(number)).write_text(TOKEN if number == 449 else "x")
    found = {Path(one.place).name for one in searched(Haystack(places=(str(tmp_path),), system=False)).found}
    assert found == {"449", "-rf it's"}
    shallow = searched(Haystack(places=(), shallow=(str(tmp_path),), system=False)).found
    assert {Path(one.place).name for one in shallow} == {"449", "release"}


def test_an_argument_list_is_searched(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", TOKEN], stdin=subprocess.PIPE) as process:
        found = searched(Haystack(places=())).found
    assert [(one.where, one.secret, one.place.partition(" (")[0]) for one in found] == [
        ("process", "router-1/api-key", f"pid {process.pid}")
    ]


ENV = f"""# NODE_PRIVATE_KEY={"cd" * 32}
NODE_PUBLIC_KEY=0x{"ab" * 20}
export NODE_PRIVATE_KEY = "{KEY}"  # mine
API_KEY=default-dev-token
OTHER_SECRET='{TOKEN}'
X_API_KEY=0x{"0" * 64}
RPC_URL=https://rpc.example
"""


def test_a_machine_takes_the_keys_of_its_own_env_files_and_tells_only_their_names(tmp_path: Path) -> None:
    (tmp_path / "env").write_text(ENV)
    (tmp_path / "copy").write_text(f"backup {KEY[2:]}")
    hay = Haystack(places=(str(tmp_path),), env_files={"m1": f"{tmp_path}/env", "m2": f"{tmp_path}/none"}, system=False)
    done = searched(hay, {})
    assert done.searched_for == ("m1 NODE_PRIVATE_KEY", "m1 OTHER_SECRET") and done.unread == ("m2",)
    assert {(one.secret, Path(one.place).name) for one in done.found} == {
        ("m1 NODE_PRIVATE_KEY", "env"),
        ("m1 NODE_PRIVATE_KEY", "copy"),
        ("m1 OTHER_SECRET", "env"),
    }


def test_a_key_file_is_judged_where_it_lies(tmp_path: Path) -> None:
    for name, text in (("good", f"{KEY}\n"), ("bare", KEY[2:]), ("two", f"{KEY}\n{KEY}\n"), ("words", "no key at all, only words")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    hay = Haystack(places=(), key_files={name: f"{tmp_path}/{name}" for name in ("good", "bare", "two", "words")}, system=False)
    fits = {key.secret: (key.fits, key.mode) for key in searched(hay, {}).keys}
    assert fits == {"good": (True, 0o600), "bare": (True, 0o600), "two": (False, 0o600), "words": (False, 0o600)}


def test_no_value_is_in_the_program_or_in_what_it_prints(tmp_path: Path) -> None:
    hay = places(tmp_path, a=KEY, b=TOKEN, c=ISSUED.key)
    data = patterns(VALUES)
    text = program(hay, len(data))
    done = subprocess.run(["sh", "-c", text], input=data, capture_output=True, check=True)
    assert b"file\tminer-1/key\t" in done.stdout
    for value in (KEY[2:], TOKEN, ISSUED.key.splitlines()[1]):
        assert value not in text and value.encode() not in done.stdout + done.stderr


def test_a_search_that_was_cut_off_says_so() -> None:
    assert read("h1", ["for\ta"]).why == "the search did not come to its end"
    assert read("h1", ["end"], "no answer within 9 s").why == "no answer within 9 s"
    assert read("h1", ["end", "noise"]) == Searched(host="h1")
    assert read("h1", ["key\ta\t600\t1", "end"]).keys == (KeyFile(secret="a", mode=0o600, fits=True),)


def test_texts_are_searched_too() -> None:
    found = in_texts(VALUES, {"the plan": f"sha256 1234 {TOKEN}", "other": "router-1/api-key"}, "here", ISSUED.certificate)
    assert [(one.secret, one.place) for one in found] == [("router-1/api-key", "the plan")]


def test_the_public_half_of_a_key_is_no_value_however_it_lies_in_its_certificate() -> None:
    """A certificate of ours or of others: where base64 happens to cut both alike, a line of the key stands in it."""
    root = authority.make_authority("lab", START, lambda count: bytes(range(count)))
    met = 0
    for length in range(1, 13):
        issued = authority.issue(root, ["a" * length + ".example"], START, lambda count: bytes(range(1, count + 1)))
        key, lines = {"own/key": issued.key}, issued.key.splitlines()
        met += any(len(line) >= 16 and line in issued.certificate for line in lines)
        assert in_texts(key, {"own.pem": issued.certificate}, "here") == ()
        assert in_texts(key, {"log": lines[1]}, "here"), "the secret half is"
    assert met, "some are cut alike"
