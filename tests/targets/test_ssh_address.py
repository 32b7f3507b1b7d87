from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.targets.ssh_address import SshAddress, key_name
from cortops.words.errors import BadInput


@pytest.mark.parametrize(
    ("text", "address", "command"),
    [
        ("h1", SshAddress("h1"), "ssh h1"),
        ("me@h1.example", SshAddress("h1.example", "me"), "ssh me@h1.example"),
        ("me@h1:2222", SshAddress("h1", "me", 2222), "ssh -p 2222 me@h1"),
        ("10.0.0.5:22", SshAddress("10.0.0.5", port=22), "ssh -p 22 10.0.0.5"),
        ("2001:db8::1", SshAddress("2001:db8::1"), "ssh 2001:db8::1"),
        ("me@[2001:db8::1]:2222", SshAddress("2001:db8::1", "me", 2222), "ssh -p 2222 me@2001:db8::1"),
        ("first.last@h1", SshAddress("h1", "first.last"), "ssh first.last@h1"),
    ],
)
def test_as_people_write_it(text: str, address: SshAddress, command: str) -> None:
    assert SshAddress.read(text) == address
    assert address.command == command


@pytest.mark.parametrize(
    "text", ["", "@h1", "me@", "h1:", "h1:0", "h1:65536", "h1:x", "a b", "-oProxyCommand=x", "me@-h", "-l@h1", "h1/x y"]
)
def test_what_is_no_host_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(BadInput, match="is no SSH host") as refused:
        SshAddress.read(text)
    assert "USER@HOST:PORT" in refused.value.next


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_is_an_address_or_refused_and_never_an_option(text: str) -> None:
    try:
        address = SshAddress.read(text)
    except BadInput:
        return
    assert address.host and not address.host.startswith("-") and not address.user.startswith("-")


@pytest.mark.parametrize(
    ("host", "port", "name"), [("H1.example", 22, "h1.example"), ("h1", 2222, "[h1]:2222"), ("::1", 2222, "[::1]:2222")]
)
def test_the_name_in_known_hosts(host: str, port: int, name: str) -> None:
    assert key_name(host, port) == name
