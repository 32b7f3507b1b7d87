"""Lines of a host as records: strict in what is taken, and never an exception."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cortops.surfaces.fleet.found.discover import HostFound, read
from cortops.surfaces.fleet.found.records import LINES_MAX, VALUE_MAX, parse

ADDRESS = "0x" + "a1" * 20


def test_lines_below_a_name_belong_to_it() -> None:
    said = parse(f"@host\tvm\nuid\t0\n@env\t/e\nplace\t-\nenv.NODE_PUBLIC_KEY\tdouble {ADDRESS}\nenv.CHAINID\tbare \n@end\t1\n")
    host, env = said.of("host")[0], said.of("env")[0]
    assert (host.name, host.number("uid"), env.name, env.text("place")) == ("vm", 0, "/e", "")
    assert {key: (value.value, value.quote) for key, value in env.env} == {"NODE_PUBLIC_KEY": (ADDRESS, "double"), "CHAINID": ("", "bare")}
    assert said.complete and said.strays == 0


def test_what_is_no_line_is_dropped_and_counted() -> None:
    lines = [
        "uid\t0",  # below no record
        "@host\tvm",
        "no tab",
        "@secret\tx",  # no kind that is known
        "key with blanks\tx",
        "env.NODE_PRIVATE_KEY\tbare " + "a1" * 32,  # a secret, should a host ever send one
        "env.MNEMONIC\tbare some words",
        "env.CHAINID\tweird 1",
        "uid\t\x1b[31m0",
        "uid\t" + "x" * (VALUE_MAX + 1),
        "uid\t7",
    ]
    said = parse("\n".join(lines))
    assert said.strays == 9
    assert [(record.kind, record.pairs, record.env) for record in said.records] == [("host", (("uid", "7"),), ())]
    assert not said.complete


def test_a_number_is_one_of_digits_only() -> None:
    host = parse("@host\tvm\na\t12\nb\t-1\nc\t\u0663\nd\t" + "9" * 19 + "\ne\t?\nf\t/x\ng\tx").of("host")[0]
    assert [host.number(key) for key in "abcdez"] == [12, None, None, None, None, None]
    assert (host.path("f"), host.path("g"), host.text("e")) == ("/x", "", "")


def test_an_endless_answer_is_cut() -> None:
    assert len(parse("@unit\tx\n" * (LINES_MAX + 5)).records) == LINES_MAX


KEYS = st.sampled_from(["@host", "@process", "@unit", "@container", "@home", "@timer", "@state", "@env", "@bin", "@exe", "@limit", "@end"])
NAMES = (
    "place env_file env_word role number first parent group user unit log cwd ticks boot hz epoch wanted restarts started running "
    "env.HOST env.CHAINID env.NODE_PUBLIC_KEY env.CONTRACT_ADDRESS_RUNTIME env.AGENT_ROLE state sha256 lfs_oid id pid binary "
    "ActiveState MainPID instance agent_role"
)
FIELDS = st.sampled_from(NAMES.split())
VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["-", "?", "", "1", "/e", "minerv4", "$AGENT_ROLE", "a.service", "cortensor-7.service", "bare 1", f"double {ADDRESS}", "c" * 64]
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(read(text, "h1", asked_at=0), HostFound)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(KEYS | FIELDS, VALUES), max_size=60))
def test_any_records_are_read(lines: list[tuple[str, str]]) -> None:
    found = read("\n".join(f"{key}\t{value}" for key, value in lines), "h1", asked_at=0)
    places = [(node.shape == "docker" and node.unit, node.env_file, node.pid) for node in found.nodes]
    assert len(places) == len(set(places)), "a node was found twice"
