"""What of ours lies on a host: the sh that tells it, in each shell, and its reading."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.deploy.ours import question, read, read_offset
from cortops.words.question import Answer

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
HOLDER = {"apply": "20261127T100000-aaaa", "who": "me@laptop", "pid": 7, "pid_started": 9, "machine": "m", "boot": "b"}
LINES = (
    '{"at":1795800000,"apply": "20261127T090000-bbbb", "event": "begun", "by": "me@laptop", "digest": "5c1e"}',
    '{"at":1795800001,"apply":"20261127T090000-bbbb","event":"intent","step":0,"action":"create","resource":"file:/x"}',
    '{"at":1795800009,"apply": "20261127T090000-bbbb", "event": "finished", "outcome": "ok"}',
    '{"at":1795803600,"apply": "20261127T100000-aaaa", "event": "begun", "by": "you@desk", "digest": "5c1e"}',
    '{"at":1795803601,"apply":"x","event":"judged","resource":"node-program:m1","outcome":"passed"}',
)


def told(tmp_path: Path, shell: str = "dash") -> str:
    argv = ["busybox", "sh"] if shell == "busybox" else [shell]
    script = question("h1", (f"{tmp_path}/*",)).script
    return subprocess.run(argv, input=script, capture_output=True, text=True, timeout=20, check=False).stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_folder_tells_generation_last_apply_and_who_holds_its_lock(tmp_path: Path, shell: str) -> None:
    lab = tmp_path / "lab"
    (lab / "manifests").mkdir(parents=True)
    for number in (0, 1, 12):
        (lab / "manifests" / f"{number:04}.json").touch()
    (lab / "journal.jsonl").write_text("\n".join(LINES) + "\n")
    (lab / "lock.json").write_text(json.dumps(HOLDER | {"since": 1795803600, "lease_until": 1795803660}, separators=(",", ":")))
    (tmp_path / "bare").mkdir()
    seen = read(told(tmp_path, shell))
    assert seen.complete and seen.cpus and seen.load is not None
    bare, found = seen.places
    assert (bare.environment, bare.generation, bare.last, bare.holder) == ("bare", None, None, None)
    assert bare.mib in (0, 1), "du rounds up"
    assert (found.environment, found.generation, found.upgrade) == ("lab", 12, None)
    assert found.last is not None and (found.last.by, found.last.finished) == ("you@desk", None), "the newest, and it has no end"
    assert found.holder is not None and (found.holder.who, found.holder.lease_until) == ("me@laptop", 1795803660)


def test_the_clock_lies_within_the_time_that_the_answer_took() -> None:
    def answer(clock: str) -> Answer:
        return Answer(question="ours:h1", at=1000000000.0, elapsed_s=0.5, status=0, body=f"@clock\t{clock}\n@end\t1\n".encode())

    right, ahead, odd = (read_offset(answer(clock)) for clock in ("1000000000.25", "1000007200.25", "soon"))
    assert right is not None and right.beyond_s == 0
    assert ahead is not None and ahead.beyond_s == pytest.approx(7199.75)
    assert odd is None


def test_services_are_ours_and_those_that_turn_logs_over_are_not_counted() -> None:
    text = "@made_of\th1\nservice\tcortops-lab.router-1.service active\nservice\tcortops-lab.rotate.service inactive\nsudo\tfree\n"
    seen = read(text)
    assert (seen.services, seen.sudo, seen.complete) == ({"cortops-lab.router-1.service": "active"}, "free", False)


@given(st.text(alphabet='@\t\n ab1{}":,./placejounlmhgtifvs', max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    seen = read(text)
    assert all(place.path.startswith("/") for place in seen.places)
