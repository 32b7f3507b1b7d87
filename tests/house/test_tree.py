"""What no file of the project may hold: a registry's host, a path of one machine, something like a key; and how results are printed."""

from __future__ import annotations

import ast
import re
from typing import Any

# Written in halves, so that this page does not hold them itself.
HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "npmjs" + ".org",
    "npmjs" + ".com",
    "crates" + ".io",
    "docker" + ".io",
    "deb.debian" + ".org",
]
# The folder of the root user as such, or a dot file in it, is a place of every machine.
PLACES = re.compile(
    r"(?<![\w.~$}\-\]/])/(?:work(?:/|\b(?![\w.-]))|root(?:/(?!\.)|\b(?![\w.\x22/-])))"
    r"|/home/(?!me\b|ops\b|deploy\b)\w+|/Users/\w|/opt/(?:wheels|pypi)"
)
WORD = re.compile(r"0x([0-9a-fA-F]{64})(?![0-9a-fA-F])")
PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*\n?[A-Za-z0-9+/]{16}")
PUBLIC_FIELD = re.compile(r"sha256|code_hash|\btopic|_ORDER\b|keccak", re.IGNORECASE)  # hashes, and the order of a curve
MAX_KIB = 1024


def _key_like(line: str) -> bool:
    """A 32-byte word with the many different digits of a key; 0x00…01 or 0xffff… is none."""
    return not PUBLIC_FIELD.search(line) and any(len(set(word.lower())) > 8 for word in WORD.findall(line))


def test_no_registry_is_named(texts: tuple[tuple[str, str], ...]) -> None:
    assert [(name, host) for name, text in texts for host in HOSTS if host in text] == []


def test_no_place_of_one_machine(texts: tuple[tuple[str, str], ...]) -> None:
    here = [(name, number, line) for name, text in texts for number, line in enumerate(text.splitlines(), 1) if PLACES.search(line)]
    wrong = [f"{name}:{number} {line.strip()[:100]}" for name, number, line in here if name != "tests/house/test_tree.py"]
    assert not wrong, "\n" + "\n".join(wrong)


def test_nothing_looks_like_a_private_key(texts: tuple[tuple[str, str], ...]) -> None:
    free = [(name, text) for name, text in texts if not re.fullmatch(r"src/cortops/contracts/artifacts/[\w/]+\.json", name)]
    found = [f"{name}:{number}" for name, text in free for number, line in enumerate(text.splitlines(), 1) if _key_like(line)]
    assert not found, "\n" + "\n".join(found)
    assert [name for name, text in free if PEM.search(text)] == []


def test_the_rule_sees_a_key() -> None:
    digits = "".join(format(number * 7 % 16, "x") for number in range(64))
    assert _key_like(f'key = "0x{digits}"')
    assert not _key_like(f'sha256 = "0x{digits}"')
    assert not _key_like('word = "0x' + "0" * 63 + '1"')
    assert PLACES.search("open('/" + "root/x')")
    assert not PLACES.search("~/work/x")


def test_results_are_printed_by_the_command_line_only(sources: tuple[Any, ...]) -> None:
    calls = [(source, node) for source in sources for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    printed = [
        f"{source.where}:{node.lineno}"
        for source, node in calls
        if isinstance(node.func, ast.Name) and node.func.id == "print" and not source.name.startswith("cortops.cli")
    ]
    assert not printed, "\n" + "\n".join(printed)


def test_no_error_is_swallowed(sources: tuple[Any, ...]) -> None:
    """A bare or broad `except` that does not raise again hides what it did not expect."""
    handlers = [(source, node) for source in sources for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler)]
    quiet = [
        (source, node) for source, node in handlers if _broad(node) and not any(isinstance(part, ast.Raise) for part in ast.walk(node))
    ]
    assert [f"{source.where}:{node.lineno}" for source, node in quiet] == []


def _broad(node: ast.ExceptHandler) -> bool:
    return node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})


def test_no_file_is_large(texts: tuple[tuple[str, str], ...]) -> None:
    assert {name: len(text) // 1024 for name, text in texts if len(text) > MAX_KIB * 1024} == {}
