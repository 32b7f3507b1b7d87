"""An environment file written from what was found, and an own one completed: it says what was meant, and the rest of it stays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.environment.declared import Environment
from cortops.environment.document import read
from cortops.environment.expand import expand
from cortops.environment.load import load
from cortops.environment.reason import Invalid
from cortops.environment.write import LINE_MAX, NetworkText, fresh, merge, ranged, scalar
from cortops.words.errors import BadInput

NETWORK = NetworkText(like="testnet-0", told=("By CONTRACT_ADDRESS_RUNTIME 0xa438cE… in 2 env files.",))


def body(number: int, **changes: str) -> dict[str, str]:
    return {
        "program": "cortensord",
        "role": "miner",
        "runs": "minerv4",
        "host": "h1",
        "shape": "ansible",
        "instance": str(number),
        "unit": f"cortensor-{number}.service",
        "env_file": f"/home/deploy/.cortensor/.env-{number}",
        "log": f"/var/log/cortensord-{number}.log",
        "binary": "/usr/local/bin/cortensord",
    } | changes


def loaded(text: str) -> Environment:
    result = load(text, "lab.yaml")
    assert not isinstance(result, Invalid), result.text
    return result


OTHER = "{program: cortensord, role: miner, runs: minerv4, host: h1, shape: nohup, env_file: /e, log: /l, binary: /b}"
HOSTS = {"h1": {"ssh": "me@h1.example"}}
MINE = """\
format: 1
environment: lab     # mine
owners: {default: ops@lab.example}
network: testnet-0

hosts:               # two of them
  h1:   {ssh: me@h1.example}

# The old ones.
nodes:
  old-1:  {program: cortensord, role: miner, runs: minerv4, host: h1, shape: ansible, instance: 1, unit: cortensor-1.service,
           env_file: /home/deploy/.cortensor/.env-1, log: /var/log/cortensord-1.log, binary: /usr/local/bin/cortensord}   # grandpa
  # a comment at the end
"""


def test_a_new_file_is_valid_and_says_all() -> None:
    address = "0x" + "a1" * 20
    env = loaded(fresh("lab", NETWORK, HOSTS, {"h1-m1": body(1, address=address), "h1-m2": body(2)}, {"h1-m2": "no address"}))
    assert (env.name, env.network.chain_id, env.hosts["h1"].ssh) == ("lab", 421614, "me@h1.example")
    assert env.installed["h1-m1"].address == address
    assert env.installed["h1-m2"].env_file == "/home/deploy/.cortensor/.env-2"
    assert "}  # no address\n" in env.text and "# By CONTRACT_ADDRESS_RUNTIME" in env.text


@pytest.mark.parametrize(
    ("network", "lines"),
    [
        (NetworkText(like="testnet-0"), ["network: testnet-0"]),
        (
            NetworkText(like="mainnet-lite", runtime="0x" + "a1" * 20),
            ["network:", "  like: mainnet-lite", "  contracts: {runtime: 0x" + "a1" * 20 + "}"],
        ),
        (
            NetworkText(chain_id=31338, rpc_url="http://10.0.0.1:8545", runtime="0x" + "a1" * 20, told=("A.", "B.")),
            [
                "# A.",
                "# B.",
                "network:",
                "  chain_id: 31338",
                "  rpc: {url: http://10.0.0.1:8545}",
                "  contracts: {runtime: 0x" + "a1" * 20 + "}",
            ],
        ),
    ],
)
def test_the_network_section(network: NetworkText, lines: list[str]) -> None:
    text = fresh("lab", network, HOSTS, {"h1-m1": body(1)})
    assert "\n".join(lines) + "\n" in text
    loaded(text)


def test_nodes_that_differ_by_their_number_are_one_line() -> None:
    text = fresh("lab", NETWORK, {f"h{n}": {"ssh": f"me@h{n}.example"} for n in range(1, 4)}, {f"h1-m{n}": body(n) for n in range(1, 26)})
    assert '  h[1-3]: {ssh: "me@h{n}.example"}\n' in text
    assert text.count("cortensord, role") == 1 and "  h1-m[1-25]: {" in text
    env = loaded(text)
    assert len(env.installed) == 25 and env.installed["h1-m4"].log == "/var/log/cortensord-4.log"
    assert max(map(len, text.splitlines())) <= LINE_MAX


def test_addresses_stand_in_a_list_by_position_and_are_all_that_differs() -> None:
    nodes = {f"h1-m{n}": body(n, address=f"0x{n:040x}") for n in range(1, 26)}
    text = fresh("lab", NETWORK, HOSTS, nodes)
    assert text.count("cortensord, role") == 1 and max(map(len, text.splitlines())) <= LINE_MAX
    env = loaded(text)
    assert [node.address for node in env.installed.values()] == [f"0x{n:040x}" for n in range(1, 26)]
    assert env.position("nodes.h1-m2.address").column != env.position("nodes.h1-m3.address").column, "each stands where its own is"
    assert merge(text, HOSTS, nodes).text == text
    apart = fresh("lab", NETWORK, HOSTS, {**nodes, "h1-m3": body(3)})
    assert "h1-m[4-25]: {" in apart and "  h1-m3: {" in apart and "  h1-m1: {" in apart


def test_a_second_look_changes_no_byte() -> None:
    nodes = {f"h1-m{n}": body(n) for n in range(1, 6)} | {"h1-x": body(9, instance="", unit="x.service")}
    text = fresh("lab", NETWORK, HOSTS, nodes)
    again = merge(text, HOSTS, nodes)
    assert (again.text, again.added, again.changed, again.left) == (text, (), (), ())


def test_an_own_file_keeps_its_comments_its_order_and_its_layout() -> None:
    done = merge(MINE, {**HOSTS, "h2": {"ssh": "me@h2"}}, {"old-1": body(1), "h2-m1": body(1, host="h2")})
    assert (done.added, done.changed, done.left) == (("h2", "h2-m1"), (), ())
    lines = done.text.splitlines()
    assert [line for line in lines if line in MINE.splitlines()] == MINE.splitlines(), "every line of it is still there"
    assert lines[lines.index("  h1:   {ssh: me@h1.example}") + 1] == "  h2: {ssh: me@h2}"
    assert lines[-1] == "  # a comment at the end"
    assert loaded(done.text).installed["h2-m1"].host == "h2"
    assert merge(done.text, HOSTS, {"old-1": body(1)}).text == done.text, "what was not asked about stays"


def test_only_what_differs_is_changed() -> None:
    done = merge(MINE, HOSTS, {"old-1": body(1, binary="/srv/cortensord", address="0x" + "b2" * 20)})
    assert done.changed == ("old-1",)
    assert done.text == MINE.replace("binary: /usr/local/bin/cortensord}", f"binary: /srv/cortensord, address: 0x{'b2' * 20}}}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{a: 1}", '{a: 1, instance: x, unit: y, owner: "o p"}'),
        ("{a: 1,}", '{a: 1, instance: x, unit: y, owner: "o p"}'),
        ("\n    a: 1  # of mine", '\n    a: 1  # of mine\n    instance: x\n    unit: y\n    owner: "o p"'),
    ],
)
def test_several_new_keys_keep_their_order(before: str, after: str) -> None:
    text = f"hosts:\n  h1: {{ssh: me@h1}}\nnodes:\n  n: {before}\n"
    done = merge(text, {}, {"n": {"instance": "x", "unit": "y", "owner": "o p"}})
    assert done.text == f"hosts:\n  h1: {{ssh: me@h1}}\nnodes:\n  n: {after}\n"


def test_a_block_is_completed_as_a_block() -> None:
    block = MINE.partition("nodes:")[0] + "nodes:\n" + "  old-1:\n" + "".join(f"    {key}: {value}\n" for key, value in body(1).items())
    done = merge(block, HOSTS, {"old-1": body(1, log="/var/log/x.log", address="0x" + "b2" * 20), "h1-m2": body(2)})
    assert (done.changed, done.added) == (("old-1",), ("h1-m2",))
    assert "    log: /var/log/x.log\n" in done.text and f"    address: 0x{'b2' * 20}\n  h1-m2: {{" in done.text
    assert set(loaded(done.text).installed) == {"old-1", "h1-m2"}


@pytest.mark.parametrize(
    "nodes",
    [
        "nodes: {}\n",
        "nodes:\n",
        "nodes: # none yet\n",
        "",
        f"nodes: {{a: {OTHER}}}\n",
        f"nodes: {{a: {OTHER},  # last\n}}\n",
    ],
)
def test_sections_of_every_layout_take_a_node(nodes: str) -> None:
    done = merge(MINE.partition("# The old ones.")[0] + nodes, HOSTS, {"h1-m1": body(1), "h1-m2": body(2)})
    env = loaded(done.text)
    assert {"h1-m1", "h1-m2"} <= set(env.installed)
    assert ("a" in env.installed) == ("a:" in nodes)


def test_windows_line_ends_and_a_file_without_a_last_line_break() -> None:
    for text in (MINE.replace("\n", "\r\n"), MINE.rstrip()):
        assert set(loaded(merge(text, HOSTS, {"old-1": body(1), "h1-m2": body(2)}).text).installed) == {"old-1", "h1-m2"}


def test_what_stands_in_a_range_is_told_and_not_torn_out_of_it() -> None:
    text = fresh("lab", NETWORK, HOSTS, {f"h1-m{n}": body(n) for n in range(1, 6)})
    done = merge(text, HOSTS, {"h1-m3": body(3, log="/var/log/other.log")})
    assert done.text == text
    assert done.left == ("nodes.h1-m3: log '/var/log/cortensord-3.log' is '/var/log/other.log' on the host",)


def test_what_stands_behind_an_anchor_is_not_changed_for_others() -> None:
    text = MINE + f"  old-2: {OTHER.replace('/b', '&b /b')}\n  old-3: {OTHER.replace('/b', '*b').replace('/e', '/c')}\n"
    with pytest.raises(BadInput, match="without changing more of it"):
        merge(text, HOSTS, {"old-3": body(3, binary="/other")})


def test_a_file_that_cannot_take_anything_is_refused() -> None:
    with pytest.raises(BadInput, match="not a block of sections"):
        merge("- a\n", HOSTS, {})
    with pytest.raises(BadInput, match="nodes is not a block of names"):
        merge("nodes: [a]\n", {}, {"h1-m1": body(1)})


@pytest.mark.parametrize(
    "value",
    [
        "7",
        "/a/b",
        "me@h1:22",
        "docker:cortensor-1",
        "cortensord@a.service",
        "",
        "null",
        "~",
        "a b",
        "{n}",
        'a"b\\',
        "x:",
        "#",
        "0x1",
        "a, b",
    ],
)
def test_a_scalar_is_read_as_it_was_meant(value: str) -> None:
    assert read(f"a: {{b: {scalar(value)}, c: 1}}").tree == {"a": {"b": value, "c": "1"}}


NUMBERS = st.lists(st.integers(0, 30), unique=True, max_size=20)
TEXTS = st.sampled_from(["/e/{}", "x-{}", "fixed", "v4", "{}", "{}{}", "a{}b1"])


@settings(max_examples=100, deadline=None)
@given(
    NUMBERS,
    st.dictionaries(st.sampled_from(["unit", "log", "role", "address"]), TEXTS, min_size=1),
    st.sets(st.integers(0, 30), max_size=3),
)
def test_ranges_stand_for_exactly_what_they_were_made_of(numbers: list[int], texts: dict[str, str], odd: set[int]) -> None:
    entries = {
        f"h1-m{number}": {key: text.format(number, number) + ("!" if number in odd else "") for key, text in texts.items()}
        for number in numbers
    }
    together = ranged(entries)
    expanded = expand({"nodes": {name: dict(entry) for name, entry in together.items()}})
    assert expanded.findings == ()
    assert expanded.tree.get("nodes", {}) == entries
