"""The sh of an adopted node's program: how a unit's start line is read and replaced, and what is kept; systemd and docker are stand-ins."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.deploy.test_program_plan import NODE

from cortops.deploy.kinds.node_program import NodeProgramKind, timeout_s
from cortops.deploy.kinds.shell import PRELUDE
from cortops.deploy.observed import Desired, Step
from cortops.deploy.target_driver import apply_timeout_s
from cortops.targets.quoting import command, quote
from cortops.words.change import Action

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
SYSTEMD = r"""
np_systemd() { np_said=$(sed -n 's/^ExecStart=[-@:+!|]*\([^[:space:]]*\).*/ExecStart={ path=\1 ; }/p' "$np_conf" | tail -n 1); }
"""
UNIT = "[Unit]\nDescription=Cortensor\n\n[Service]\nUser=cortensor\nExecStart={}\nKillSignal=SIGINT\n"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with a unit file `unit`, the operator's program `cortensord` and ours in `blobs`."""

    folder: Path

    @property
    def dropin(self) -> Path:
        return self.folder / "unit.d" / "50-cortops.conf"

    def run(self, script: str, shell: str = "dash") -> subprocess.CompletedProcess[str]:
        """Runs after the preludes, with a systemctl that has read the files, as the node whose unit is `unit`."""
        at = ("np_at", "ansible", "x.service", "/none", "minerv4", f"{self.folder}/cortensord")
        head = [
            PRELUDE,
            NodeProgramKind().prelude,
            command(*at, f"{self.folder}/blobs/cortensord-{'1' * 16}", f"{self.folder}/adopted/m7", f"{self.folder}/run/hashed"),
            f"np_conf={quote(str(self.dropin))} np_files={quote(str(self.folder / 'unit'))}",
            f'systemctl() {{ echo "systemctl $1" >>{quote(str(self.folder / "asked"))}; }}',
            SYSTEMD,
        ]
        argv = ["busybox", "sh"] if shell == "busybox" else [shell]
        return subprocess.run(argv, input="\n".join([*head, script]), capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "unit").write_text(UNIT.format(f"{tmp_path}/cortensord .env-7 minerv4 1 docker"))
    for name in ("cortensord", f"blobs/cortensord-{'1' * 16}"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
        (tmp_path / name).chmod(0o755)
    return Place(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("start", "ours"),
    [
        ("{own} .env-7 minerv4 1 docker", "{blob} .env-7 minerv4 1 docker"),
        ("{own} .env-%i ${{AGENT_ROLE}} 1 docker", "{blob} .env-%i ${{AGENT_ROLE}} 1 docker"),
        ('"{own}" ".env 7" minerv4', '{blob} ".env 7" minerv4'),
        ("'{own}' .env minerv4", "{blob} .env minerv4"),
        ("-{own} .env minerv4", "-{blob} .env minerv4"),
        ("@{own} name .env minerv4", "@{blob} name .env minerv4"),
        ("!!{own}\t.env  minerv4", "!!{blob}\t.env  minerv4"),
        ("{own}", "{blob}"),
        ("{own} .env \\\n  minerv4 \\\n  1", "{blob} .env    minerv4    1"),
        ("/bin/false\nExecStart=\nExecStart={own} .env minerv4", "{blob} .env minerv4"),
        ("%h/cortensord .env minerv4", "{blob} .env minerv4"),
    ],
)
def test_the_first_word_is_replaced_and_nothing_else(place: Place, shell: str, start: str, ours: str) -> None:
    own, blob = f"{place.folder}/cortensord", f"{place.folder}/blobs/cortensord-{'1' * 16}"
    (place.folder / "unit").write_text(UNIT.format(start.format(own=own)))
    done = place.run(f"np_own=other; np_point_unit {'1' * 64}", shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = place.dropin.read_text().splitlines()
    assert lines[0].startswith("# By cortops: x.service runs a program of ours in place of its own.")
    assert lines[1:] == ["[Service]", "ExecStart=", f"ExecStart={ours.format(blob=blob)}"]
    assert place.dropin.stat().st_mode & 0o777 == 0o644 and place.dropin.parent.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("unit", "why"),
    [
        (UNIT.format("/bin/sh -c 'cortensord .env minerv4'"), "x.service starts /bin/sh, not"),
        ("[Service]\nExecStart=/a\nExecStart=/b\n", "x.service has not one ExecStart"),
        ("[Unit]\nExecStart=/a\n", "x.service has not one ExecStart"),
        ("[Service]\n# ExecStart=/a\nExecStartPre=/b\n", "x.service has not one ExecStart"),
    ],
)
def test_a_unit_that_starts_something_else_is_left_alone(place: Place, unit: str, why: str) -> None:
    (place.folder / "unit").write_text(unit)
    done = place.run(f"np_own=other; np_point_unit {'1' * 64}")
    assert done.returncode == 1 and why in done.stdout
    assert not place.dropin.exists() and not (place.folder / "asked").exists()


def test_where_the_own_file_is_that_program_ours_goes_and_the_folder_with_it(place: Place) -> None:
    place.run(f"np_own=other; np_point_unit {'1' * 64}")
    assert place.dropin.exists()
    done = place.run(f"np_own={'1' * 64}; np_starts=x; np_point_unit {'1' * 64}")
    assert done.returncode == 0 and not place.dropin.parent.exists()
    assert (place.folder / "asked").read_text() == "systemctl daemon-reload\n" * 2
    assert place.run(f"np_own={'1' * 64}; np_starts={'1' * 64}; np_point_unit {'1' * 64}").returncode == 0
    assert (place.folder / "asked").read_text().count("\n") == 2, "systemd is not told what it knows"


def test_a_drop_in_of_somebody_else_that_wins_is_told(place: Place) -> None:
    done = place.run(f"np_systemd() {{ np_said='ExecStart={{ path=/other ; }}'; }}\nnp_own=other; np_point_unit {'1' * 64}")
    assert (done.returncode, done.stdout) == (1, "another drop-in of x.service sets ExecStart after ours\n")


def test_a_program_that_cannot_be_executed_there_is_told_before_anything_is_written(place: Place) -> None:
    (place.folder / "blobs" / f"cortensord-{'1' * 16}").chmod(0o644)
    done = place.run(f"np_own=other; np_point_unit {'1' * 64}")
    assert done.returncode == 1 and done.stdout.endswith("cannot be executed: is it on a file system mounted noexec?\n")
    assert not place.dropin.exists()


def test_files_are_kept_with_their_owner_and_put_back_only_where_they_differ(place: Place) -> None:
    env_file = place.folder / ".env"
    env_file.write_text("A=1\n")
    env_file.chmod(0o640)
    sha = hashlib.sha256(b"A=1\n").hexdigest()
    place.run(f"mkdir -p $np_saved; np_keep_files env {sha} {env_file}")
    kept = place.folder / "adopted/m7" / f"env-{sha[:16]}"
    assert (kept / "1").read_text() == "A=1\n" and (kept / "1").stat().st_mode & 0o077 == 0
    assert kept.stat().st_mode & 0o077 == 0
    before = env_file.stat()
    assert place.run(f"np_put_files env {sha}").returncode == 0
    assert (env_file.stat().st_ino, env_file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    env_file.write_text("A=2\n")
    env_file.chmod(0o600)
    assert place.run(f"np_put_files env {sha}").returncode == 0
    assert (env_file.read_text(), env_file.stat().st_mode & 0o777) == ("A=1\n", 0o640)
    done = place.run(f"np_put_files env {'0' * 64}")
    assert (done.returncode, done.stdout) == (1, "no copy of its env 000000 is kept here\n")


def test_files_of_a_container_that_stands_still_go_in_by_its_engine_and_never_to_the_host(place: Place) -> None:
    sha = hashlib.sha256(b"A=1\n").hexdigest()
    kept = place.folder / "adopted/m7" / f"env-{sha[:16]}"
    kept.mkdir(parents=True)
    (kept / "1").write_text("A=1\n")
    inside = place.folder / ".env"  # another node of the host has a file of the same path
    inside.write_text("B=2\n")
    (kept / "files").write_text(f"1 640 0 0 {inside}\n")
    engine = f'docker() {{ echo "$*" >>{place.folder}/asked; stat -c %a "$3" >>{place.folder}/asked; }}\n'
    put = f"np_shape=docker np_unit=c np_prefix=; np_put_files env {sha}"
    assert place.run(f"{engine}np_from_container() {{ echo A=0; }}\n{put}").returncode == 0
    assert (place.folder / "asked").read_text().splitlines() == [f"cp -a {place.folder}/adopted/m7/put.new c:{inside}", "640"]
    assert inside.read_text() == "B=2\n" and not (place.folder / "adopted/m7/put.new").exists()
    assert place.run(f"{engine}np_from_container() {{ echo A=1; }}\n{put}").returncode == 0
    assert len((place.folder / "asked").read_text().splitlines()) == 2, "what is the same is not written"


def test_only_what_runs_for_a_while_counts_as_what_ran_before(place: Place) -> None:
    done = place.run("np_settle_s=3; np_pid=$$; np_stays || echo young; np_pid=1; np_stays && echo old; np_pid=; np_stays || echo none")
    assert done.stdout.split() == ["young", "old", "none"]


def test_a_file_that_was_hashed_by_an_apply_is_not_read_again(place: Place) -> None:
    big = place.folder / "cortensord"
    done = place.run(
        f"np_stamp {big} {'7' * 64} own; hash_of() {{ echo read >&2; }}; np_sum {big}; echo $np_sha; np_sum {big}; echo $np_sha"
    )
    assert (done.stdout, done.stderr) == (f"{'7' * 64}\n" * 2, "")
    big.write_text("another")
    assert place.run(f"np_sum {big}; echo $np_sha").stdout.strip() == hashlib.sha256(b"another").hexdigest()


def test_words_of_a_start_line_are_quoted(place: Place) -> None:
    assert place.run('np_quoted "it\'s \\$HOME; rm"').stdout == "'it'\\''s $HOME; rm'"


@pytest.mark.parametrize(
    ("line", "told"), [("error at https://rpc.example/v1/key", "error at https://…"), ("TX: 0x" + "ab" * 32, "TX: 0x…")]
)
def test_last_words_of_a_log_hold_no_key(place: Place, line: str, told: str) -> None:
    (place.folder / "log").write_text(f"before\n{line}\n")
    assert place.run(f"np_log={place.folder}/log; np_last_words").stdout.strip() == told


def test_nothing_of_ours_is_removed_by_another_folder(place: Place) -> None:
    done = place.run("remove_node_program ansible x /e minerv4 /b /blob /etc /run")
    assert (done.returncode, done.stdout) == (1, "/etc is no folder of ours\n")


@pytest.mark.parametrize(
    ("action", "task"), [(Action.CREATE, "copy"), (Action.UPDATE, "set"), (Action.START, "start"), (Action.RESTART, "start")]
)
def test_what_an_action_asks_for(place: Place, action: Action, task: str) -> None:
    class Nowhere:
        root = "/r"

    step = Step(action=action, desired=Desired(resource=NODE, attributes={}))
    making = NodeProgramKind().make(NODE, step, Nowhere())  # type: ignore[arg-type]
    assert making.words[:5] == ("make_node_program", NODE.program, task, "", "")
    assert making.words[-1] == "/r/run/hashed" and making.sends == b""
    assert apply_timeout_s([step]) > timeout_s(NODE) > 2 * (NODE.stop_timeout_s + NODE.start_timeout_s)
