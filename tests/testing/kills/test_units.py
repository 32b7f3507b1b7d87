"""The stand-in for systemd reads units as systemd does, as far as our programs depend on it."""

from __future__ import annotations

from cortops.testing.kills.units import Unit, parsed


def test_an_empty_value_takes_back_those_before() -> None:
    unit = "[Service]\nEnvironment=A=1\nEnvironment=B=2\nExecStart=/bin/a .env minerv4\n"
    dropin = "# ours\n[Service]\nExecStart=\nExecStart=/blobs/b .env minerv4\n"
    assert parsed((unit, dropin)) == {"Environment": ["A=1", "B=2"], "ExecStart": ["/blobs/b .env minerv4"]}


def test_instance_and_variables_are_filled_in() -> None:
    unit = Unit("cortensord@alpha.service", settings=parsed(("Environment=ROLE=minerv4\nExecStart=/bin/a .env-%i ${ROLE} 1\n",)))
    assert unit.argv == ["/bin/a", ".env-alpha", "minerv4", "1"]
    assert unit.environ == {"ROLE": "minerv4"}
