"""Where a watch cannot be installed, that is said by name before anything is asked; and what an install says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.fleet_stage import LAB

from cortops.cli.common import Common
from cortops.cli.upgrade_detach import _options
from cortops.cli.watch import watch
from cortops.cli.watch_install import install, uninstall
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.words.errors import BadInput, UnknownName


def environment(text: str = LAB) -> Environment:
    loaded = load(text, "lab.yaml")
    assert isinstance(loaded, Environment), loaded
    return loaded


def put(env: Environment, host: str) -> int:
    return install(env, host, 8500, Common(), plan="", yes=False, may_act=False)


def test_a_host_that_is_not_declared_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match=r"h9 is no host of lab\.yaml") as refused:
        put(environment(), "h9")
    assert refused.value.next == "It has: h1, h2"
    with pytest.raises(UnknownName):
        uninstall(environment(), "h9", Common(), plan="", yes=False)


def test_this_machine_gets_a_monitor_instead() -> None:
    env = environment(LAB.replace("hosts:\n", "hosts:\n  here: {local: true}\n"))
    with pytest.raises(BadInput, match="here is this machine") as refused:
        put(env, "here")
    assert refused.value.next == "Declare monitor: {on: here, port: 8500} in lab.yaml, then: cortops apply"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"install": "h1", "uninstall": "h1"}, "--install and --uninstall at once"),
        ({"install": "h1", "plan": "12ab"}, "has at least 8 digits"),
    ],
)
def test_words_that_do_not_fit_are_refused(words: dict[str, str], why: str, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(LAB)
    with pytest.raises(BadInput, match=why):
        watch(file, **words)  # type: ignore[arg-type]


def test_an_upgrade_is_handed_over_with_what_was_said_and_nothing_else() -> None:
    said = {"canary": "", "wave": 3, "per-host": 1, "again": True, "accept-large": False, "plan": "12ab"}
    assert _options(said) == ["--wave", "3", "--per-host", "1", "--again", "--plan", "12ab"]
