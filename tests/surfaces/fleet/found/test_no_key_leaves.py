"""Whatever env files, units and containers hold: nothing but public values of listed keys leaves a host. The real program, random files."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.surfaces.fleet.fake_root import BINARY, FakeRoot

from cortops.protocol.envfile import parse
from cortops.surfaces.fleet.found.discover import read
from cortops.surfaces.fleet.found.public_keys import FORMS, fits, form_of

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes

ADDRESS = "0xa438cE917a5740267e0f7217f81cbbAA23E7e106"
FOLDER = "/home/ops/.cortensor"

# A secret of these tests begins with zq, which nothing else here does, so that any piece of one is seen.
SECRETS = st.from_regex(r"zq[A-Za-z0-9!%&*+./:;=?@^_|~-]{10,50}", fullmatch=True)
OTHER_KEYS = st.one_of(
    st.sampled_from(
        ["TAVILY_API_KEY", "MNEMONIC", "AWS_SECRET_ACCESS_KEY", "X402_KEY", "NODE_PRIVATE_KEY_OLD", "RPC_HOST", "DATABASE_URL"]
    ),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(lambda key: form_of(key) is None),
)
LISTED = sorted(key.replace("*", "RUNTIME" if "ADDRESS" in key else "1") for key in FORMS)
AROUND = st.sampled_from(
    [
        "{}={}\n",
        '{}="{}"\n',
        "{}='{}'\n",
        "export {}={}\r\n",
        "  {} = {}  \n",
        '{}="{}\n',
        "{}='{}\n",
        "{}={} # note\n",
        "#{}={}\n",
        "{}\t=\t{}\n",
        "{}={}",
    ]
)
URLS = st.sampled_from(["https://rpc.example/{}", "https://me:{}@rpc.example/x", "wss://rpc.example?k={}", "{}"])


@st.composite
def env_files(draw: st.DrawFn) -> tuple[str, list[str]]:
    """The text of an env file, and the secrets in it: under keys that are not listed, and under listed ones where they do not belong."""
    lines, secrets = [], []
    for _ in range(draw(st.integers(1, 12))):
        secret = draw(SECRETS)
        secrets.append(secret)
        kind = draw(st.integers(0, 3))
        key = draw(OTHER_KEYS) if kind < 2 else draw(st.sampled_from(LISTED))
        url = form_of(key) == "url" or kind == 1
        value = draw(URLS).format(secret) if url else secret
        if form_of(key) == "word":
            value = f"{value} {value}"  # a word of this form is public, whatever it says
        lines.append(draw(AROUND).format(key, value))
    lines.insert(draw(st.integers(0, len(lines))), f"NODE_PUBLIC_KEY={ADDRESS}\n")
    return draw(st.sampled_from(["", "\ufeff"])) + "".join(lines), secrets


def said_of(*texts: str) -> str:
    folder = Path(tempfile.mkdtemp())
    try:
        root = FakeRoot(folder)
        for number, text in enumerate(texts):
            root.put(f"{FOLDER}/.env-{number}", text)
            root.process([BINARY, f".env-{number}", "minerv4"], cwd=FOLDER)
        return root.tell()
    finally:
        shutil.rmtree(folder)


def assert_hidden(said: str, secrets: list[str]) -> None:
    assert "zq" not in re.sub(r"sha256[:\t][0-9a-f]+", "", said), [line for line in said.splitlines() if "zq" in line]
    for secret in secrets:
        assert secret[2:] not in said


UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # an example takes a quarter of a second


@settings(max_examples=8, deadline=None, phases=UNSHRUNK)
@given(st.lists(env_files(), min_size=8, max_size=12))
def test_no_secret_of_an_env_file_is_told(files: list[tuple[str, list[str]]]) -> None:
    said = said_of(*(text for text, _ in files))
    assert_hidden(said, [secret for _, secrets in files for secret in secrets])
    assert len(read(said, "h1").nodes) == len(files)


def test_keys_in_every_other_place_stay_too(tmp_path: Path) -> None:
    root = FakeRoot(tmp_path)
    secret = "zqSecretOfThisTest"
    root.put(
        "/etc/systemd/system/cortensor.service",
        f"[Service]\nEnvironment=NODE_PRIVATE_KEY={secret} AGENT_ROLE=minerv4\nWorkingDirectory={FOLDER}\n"
        f"ExecStart={BINARY} .env minerv4 1 docker --key {secret}\nExecStartPost=/bin/curl https://x.example/{secret}\n",
    )
    root.put(f"{FOLDER}/.env", f"NODE_PUBLIC_KEY={ADDRESS}\nNODE_PRIVATE_KEY={secret}\nAPI_KEY={secret}\nENCRYPTION_SEED={secret}\n")
    root.process([BINARY, ".env", "minerv4", "1", "docker", f"--key={secret}"], cwd=FOLDER, group="/system.slice/cortensor.service")
    root.put("/proc/101/environ", f"NODE_PRIVATE_KEY={secret}\0")
    inspected = f"pid\t0\nrunning\tfalse\nworkdir\t/\nword\t/bin/sh\nword\t-c\nword\tKEY={secret} cortensord /e/.env minerv4\n"
    root.docker(
        {f"{'c0' * 32} cortensor-1 cortensor-image": f"{inspected}env\tPRIVATE_KEY={secret}\nenv\tRPC_URL=https://rpc.example/{secret}\n"}
    )
    root.put("/etc/cron.d/x", f"0 4 * * * root curl https://x.example/{secret}; systemctl restart cortensor\n")
    said = root.tell()
    assert_hidden(said, [secret])
    assert len(read(said, "h1").nodes) == 2
    node = next(node for node in read(said, "h1").nodes if node.shape == "systemd")
    assert node.kept == {"NODE_PRIVATE_KEY": "set", "API_KEY": "set", "ENCRYPTION_SEED": "set"}


VALUES = {
    "address": ADDRESS,
    "number": "12515",
    "switch": "1",
    "numbers": "10,11",
    "word": "router1.example",
}


@settings(max_examples=8, deadline=None, phases=UNSHRUNK)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([key for key in LISTED if form_of(key) in VALUES]),
            st.sampled_from(["{}", '"{}"', "'{}'", "{} # note", '"{}"  ', "{}\r"]),
        ),
        min_size=1,
        max_size=20,
        unique_by=lambda pair: pair[0],
    )
)
def test_public_values_are_read_as_our_own_programs_read_them(pairs: list[tuple[str, str]]) -> None:
    text = "".join(f"{key}={around.format(VALUES[form_of(key) or 'word'])}\n" for key, around in pairs)
    (node,) = read(said_of(text), "h1").nodes
    assert node.env == {key: value.strip() for key, value in parse(text).items()}
    assert node.quoted == {key for key, around in pairs if around[0] in "\"'"}


def test_of_an_rpc_address_only_its_host_and_a_hash_are_told() -> None:
    texts = ["https://rpc.example:8443/v1/k", "https://me:pw@rpc.example/v1/k", f"https://{'a1b2' * 4}.rpc.example/", "rpc.example/k", ""]
    nodes = read(said_of(*(f"HOST={text}\nRPC_HOST_1='{text}'\n" for text in texts)), "h1").nodes
    told = [node.env["HOST"].partition("#")[0] for node in sorted(nodes, key=lambda node: node.instance)]
    assert told == ["https://rpc.example:8443", "https://?", "https://?", "?://?", ""]
    assert all(node.env["HOST"] == node.env["RPC_HOST_1"] for node in nodes), "the hash is of the address, not of how it was quoted"
    assert all(fits("HOST", node.env["HOST"]) for node in nodes)


def test_placeholders_are_known_as_such() -> None:
    lines = {
        "NODE_PRIVATE_KEY": f"0x{'0' * 64}",
        "API_KEY": "default-dev-token",
        "ENCRYPTION_SEED": "change-me",
        "ENCRYPTION_ALLOWED_LIST": "",
    }
    (node,) = read(said_of("".join(f"{key}={value}\n" for key, value in lines.items())), "h1").nodes
    assert node.kept == {
        "NODE_PRIVATE_KEY": "placeholder",
        "API_KEY": "default",
        "ENCRYPTION_SEED": "placeholder",
        "ENCRYPTION_ALLOWED_LIST": "empty",
    }
