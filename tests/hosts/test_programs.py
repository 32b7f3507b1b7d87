"""The program of one adopted node is changed and taken back, in every shape, while every other node of the host keeps its pid."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.hosts.engine import COUNT, EVERY, JOURNAL, Died, Dying, Engine, declare
from tests.hosts.faults import NET, QUIET
from tests.hosts.shapes import ansible, docker, install, nohup, salt, systemd

from cortops.deploy.host_state import Starting
from cortops.deploy.lock import this_process
from cortops.deploy.node_programs import declared
from cortops.deploy.observed import Present
from cortops.testing.cortensord import CRASHES, GOOD, OLD, compiled, sha256
from cortops.testing.cortensord.network import wait_until
from cortops.testing.hosts import Fleet, SystemHost, hosts
from cortops.words.change import Action
from cortops.words.errors import LockHeld, ProgramFailed, Refused, StepFailed

pytestmark = pytest.mark.real

WITHIN_S = 20.0
ROOT = "/var/lib/cortops/lab"
NODES = (
    systemd("p1", env=QUIET),
    ansible("p1", 1, env=QUIET),
    ansible("p1", 2, env=QUIET),
    salt("p1", "alpha", env=QUIET),
    nohup("p1", env=QUIET),
    docker("p1", 1, env=QUIET),
    ansible("p2", 9, env=QUIET),
)
SHAPES = ("p1-systemd", "p1-ansible-1", "p1-salt-alpha", "p1-nohup", "p1-docker-1")
NODE = "p1-ansible-1"


@pytest.fixture(scope="module")
def fleet(nothing_left_behind: None, programs: Path) -> Iterator[Fleet]:
    with hosts(names=("p1", "p2")) as made:
        for host in made:
            install(host, [node for node in NODES if node.host == host.name], compiled(GOOD, programs).read_bytes(), NET)
        yield made


@pytest.fixture(scope="module")
def engine(fleet: Fleet, programs: Path) -> Engine:
    """Both hosts, adopted."""
    made = Engine(fleet=fleet, env=declare(fleet, NODES, NET), programs=programs)
    for host in fleet:
        assert made.adopt(host.name, compiled(GOOD, programs)).generation == 0
    return made


@pytest.fixture
def old(programs: Path) -> Path:
    return compiled(OLD, programs)


def all_seen(engine: Engine, host: str = "p1") -> dict[str, dict[str, str]]:
    """What a host says of each of its nodes now."""
    look = engine.look(host, lambda record: declared(record, ()))
    found = {node.name: look.node(node.name) for node in NODES if node.host == host}
    assert all(isinstance(one, Present) for one in found.values()), found
    return {name: dict(one.attributes) for name, one in found.items() if isinstance(one, Present)}


def seen(engine: Engine, node: str) -> dict[str, str]:
    return all_seen(engine, engine.env.installed[node].host)[node]


def pids(found: dict[str, dict[str, str]], but: str) -> dict[str, str]:
    """Node -> pid of every other node."""
    return {name: one["pid"] for name, one in found.items() if name != but}


def state(found: dict[str, str]) -> dict[str, str]:
    """What must be as before when a node is taken back."""
    return {name: found[name] for name in ("program", "starts", "unit", "env", "own", "running", "finished")}


def files(host: SystemHost) -> set[str]:
    """Hash and name of what is the operator's, without what nodes write themselves."""
    return set(host.do("find /etc/systemd /home /opt /usr/local -type f ! -name '*.log' -print0 | xargs -0 sha256sum").splitlines())


@pytest.mark.parametrize("node", ["p1-systemd", *(pytest.param(node, marks=pytest.mark.proof) for node in SHAPES if node != "p1-systemd")])
def test_one_node_there_and_back_in_every_shape(engine: Engine, fleet: Fleet, old: Path, node: str) -> None:
    host, before, lay = fleet["p1"], all_seen(engine), files(fleet["p1"])
    changed = engine.switch(node, old)
    now = all_seen(engine)
    assert (now[node]["program"], now[node]["starts"], now[node]["running"]) == (sha256(old), sha256(old), "yes")
    assert host.do(f"sha256sum </proc/{now[node]['pid']}/exe").split()[0] == sha256(old)
    assert now[node]["pid"] != before[node]["pid"] and pids(now, node) == pids(before, node)
    ours = {line.split()[1] for line in files(host) ^ lay}
    assert all(name.endswith(("/50-cortops.conf", "/cortensord.pid")) for name in ours), ours
    done = engine.back(node)
    assert done.generation == changed.generation + 1
    after = all_seen(engine)
    assert state(after[node]) == state(before[node]) and after[node]["ours"] == "no"
    assert host.do(f"readlink /proc/{after[node]['pid']}/exe").strip() == engine.env.installed[node].binary
    assert pids(after, node) == pids(before, node)
    assert {line.split()[1].rpartition("/")[2] for line in files(host) ^ lay} <= {"cortensord.pid"}
    if node == "p1-nohup":
        assert host.do("cat /home/ops/.cortensor/cortensord.pid").strip() == after[node]["pid"]


@pytest.mark.parametrize("node", ["p1-ansible-1", *(pytest.param(node, marks=pytest.mark.proof) for node in ("p1-nohup", "p1-docker-1"))])
def test_a_program_that_crashes_is_taken_back_by_the_host_itself(engine: Engine, old: Path, programs: Path, node: str) -> None:
    before = all_seen(engine)
    with pytest.raises(ProgramFailed, match="did not stay up with") as failed:
        engine.switch(node, compiled(CRASHES, programs))
    after = all_seen(engine)
    assert f"{before[node]['program'][:6]} runs again as pid {after[node]['pid']}" in str(failed.value)
    assert "ImportError: libllm.so" in str(failed.value), "the last line of its log"
    assert state(after[node]) == state(before[node])
    assert pids(after, node) == pids(before, node)
    record = engine.record("p1")
    assert record.cut_off is None, "the journal has its end"
    assert engine.look("p1", lambda record: declared(record, ())).plan.changes == ()


def test_nothing_to_do_makes_no_generation_and_restarts_nothing(engine: Engine, programs: Path) -> None:
    before = seen(engine, NODE)
    generation = engine.record("p1").latest
    done = engine.switch(NODE, compiled(GOOD, programs))
    assert generation is not None and (done.made, done.generation) == (0, generation.generation)
    assert seen(engine, NODE)["pid"] == before["pid"]


def test_a_node_that_stands_still_is_started_and_a_next_start_is_set_right_without_one(engine: Engine, fleet: Fleet) -> None:
    host, unit = fleet["p1"], engine.env.installed[NODE].unit
    host.do(f"systemctl stop {unit}")
    (change,) = engine.look("p1", lambda record: declared(record, ())).plan.changes
    assert (change.action, change.resource) == (Action.START, f"node-program:{NODE}")
    engine.apply("p1", lambda record: declared(record, ()))
    now = seen(engine, NODE)
    host.do(f"mkdir -p /etc/systemd/system/{unit}.d && printf '[Service]\\n' >/etc/systemd/system/{unit}.d/50-cortops.conf")
    host.do("systemctl daemon-reload")
    (change,) = engine.look("p1", lambda record: declared(record, ())).plan.changes
    assert change.action is Action.UPDATE and change.reason.endswith("set right without a restart")
    engine.apply("p1", lambda record: declared(record, ()))
    assert seen(engine, NODE)["pid"] == now["pid"]
    assert host.run(f"ls /etc/systemd/system/{unit}.d").returncode != 0


def test_what_was_edited_by_hand_is_shown_kept_and_comes_back_with_its_generation(engine: Engine, fleet: Fleet, old: Path) -> None:
    host, node = fleet["p1"], engine.env.installed["p1-salt-alpha"]
    unit_file, before = "/etc/systemd/system/cortensord@.service", seen(engine, "p1-salt-alpha")
    original = host.do(f"cat {node.env_file} {unit_file}")
    host.do(f"echo STANDIN_LEVEL=3 >>{node.env_file}; echo '# mine' >>{unit_file}; systemctl daemon-reload")
    plan = engine.look("p1", lambda record: declared(record, ())).plan
    (told,) = plan.differing
    assert plan.changes == () and told.resource == "node-program:p1-salt-alpha"
    assert "its unit was edited by hand" in told.reason and "its env file was edited by hand" in told.reason
    engine.switch("p1-salt-alpha", old)
    assert host.do(f"cat {node.env_file} {unit_file}") != original, "a new program overwrites nothing"
    (change,) = engine.look("p1", lambda record: engine.found(record, "p1-salt-alpha")).plan.changes
    assert change.reason.endswith("and its unit and env file put back as recorded")
    engine.back("p1-salt-alpha")
    after = seen(engine, "p1-salt-alpha")
    assert host.do(f"cat {node.env_file} {unit_file}") == original
    assert host.do(f"stat --format='%a %U' {node.env_file}").split() == ["600", "cortensor"]
    assert [after[name] for name in ("program", "unit", "env")] == [before[name] for name in ("program", "unit", "env")]
    environ = host.do(f"tr '\\0' '\\n' </proc/{after['pid']}/environ")
    assert "STANDIN_LEVEL" not in environ, "it runs with the env file that was put back"


@contextmanager
def large(programs: Path, mib: int = 40) -> Iterator[Path]:
    """A build with so many bytes behind it that sending it takes a while."""
    path = programs / "cortensord-large"
    path.write_bytes(compiled(OLD, programs).read_bytes() + hashlib.sha256(b"x").digest() * (mib << 15))
    path.chmod(0o755)
    try:
        yield path
    finally:
        path.unlink()


@pytest.mark.proof
def test_an_upload_that_is_cut_leaves_the_old_one_running_and_goes_on_later(engine: Engine, fleet: Fleet, programs: Path) -> None:
    host, before = fleet["p1"], seen(engine, NODE)
    cut = "while ! find /var/lib/cortops/lab/blobs -name '*.part' -size +1000k | grep -q .; do sleep 0.01; done; pkill -KILL -f 'sshd: me'"
    with large(programs) as program:
        thread = threading.Thread(target=lambda: host.run(f'timeout 20 sh -c "{cut}"'))
        thread.start()
        with pytest.raises(StepFailed, match="unknown"):
            engine.switch(NODE, program)
        thread.join()
        now = seen(engine, NODE)
        assert (now["program"], now["pid"], now["starts"]) == (before["program"], before["pid"], before["starts"])
        part = int(host.do(f"stat --format=%s {ROOT}/blobs/*.part"))
        assert 0 < part < program.stat().st_size
        done = engine.switch(NODE, program)
        assert seen(engine, NODE)["program"] == sha256(program)
        assert f"resumed at {part}" in host.do(f"tail -n 20 {ROOT}/journal.jsonl")
        assert done.made == 2
        engine.back(NODE)
    assert seen(engine, NODE)["program"] == before["program"]


@pytest.mark.proof
def test_a_full_disk_leaves_the_old_one_running(engine: Engine, fleet: Fleet, programs: Path) -> None:
    host, before = fleet["p1"], seen(engine, NODE)
    with large(programs, 41) as program:
        host.fill_disk()
        host.do("truncate --size=-4M /var/tmp/filler")
        try:
            with pytest.raises(StepFailed) as failed:
                engine.switch(NODE, program)
        finally:
            host.free_disk()
        assert "could not be made on p1" in str(failed.value)
        now = seen(engine, NODE)
        assert (now["program"], now["pid"], now["starts"]) == (before["program"], before["pid"], before["starts"])
        engine.switch(NODE, program)
        engine.back(NODE)


def test_the_second_start_of_one_key_is_refused_with_the_first_one(engine: Engine, fleet: Fleet, old: Path) -> None:
    """Its env file on p2 is given the key of a node that runs on p1."""
    first, second = engine.env.installed["p1-systemd"], engine.env.installed["p2-ansible-9"]
    host, before, since = fleet["p2"], seen(engine, "p2-ansible-9"), seen(engine, "p1-systemd")["started_at"]
    own = host.do(f"cat {second.env_file}")
    host.do(f"sed -i 's/^NODE_PUBLIC_KEY=.*/NODE_PUBLIC_KEY={first.address}/' {second.env_file}")

    try:
        with pytest.raises(Refused) as refused:
            engine.switch("p2-ansible-9", old, guard=engine.key_guard())
    finally:
        host.do(f"cat >{second.env_file}", data=own.encode())
    stamp = fleet["p1"].do(f"date --utc --date=@{since} '+%Y-%m-%d %H:%M'").strip()
    assert f"runs on p1 as {first.unit} since {stamp}" in str(refused.value)
    assert refused.value.next.startswith(f"Stop {first.unit} on p1")
    now = seen(engine, "p2-ansible-9")
    assert (now["program"], now["pid"]) == (before["program"], before["pid"])
    assert engine.switch("p2-ansible-9", old, guard=engine.key_guard()).made == 1
    engine.back("p2-ansible-9")


def test_two_operators_at_once_and_the_second_is_told_who_is_first(engine: Engine, old: Path) -> None:
    begun, over = threading.Event(), threading.Event()

    async def wait(starting: Sequence[Starting]) -> None:
        begun.set()
        await asyncio.to_thread(over.wait, WITHIN_S)

    thread = threading.Thread(target=lambda: engine.switch(NODE, old, guard=wait))
    thread.start()
    try:
        assert begun.wait(WITHIN_S)
        with pytest.raises(LockHeld, match=re.escape(this_process().who)):
            engine.back(NODE)
    finally:
        over.set()
        thread.join()
    assert seen(engine, NODE)["program"] == sha256(old)
    engine.back(NODE)


# --- killed anywhere ---


def dies(engine: Engine, node: str, program: Path, at: int, names: str) -> bool:
    """Switch it with a target that dies at that point; whether it did."""
    host = engine.fleet[engine.env.installed[node].host]
    host.do(f"rm -f {COUNT}")
    try:
        engine.switch(node, program, wrap=lambda target: Dying(target, at, names))
    except Died:
        return True
    return False


def one_generation(engine: Engine, now: dict[str, str], node: str, old: Path, programs: Path) -> str:
    """Which of the two it is, whole; AssertionError for a mixture."""
    host = engine.fleet[engine.env.installed[node].host]
    found = {sha256(old): "new", sha256(compiled(GOOD, programs)): "first"}[now["program"]]
    assert (now["starts"], now["running"], now["finished"]) == (now["program"], "yes", "yes")
    assert host.do(f"sha256sum </proc/{now['pid']}/exe").split()[0] == now["program"]
    assert host.run("ls /etc/systemd/system/*.d/*.new /var/lib/cortops/lab/adopted/*/new").returncode != 0
    return found


def killed_at_every_point(engine: Engine, node: str, old: Path, programs: Path, names: str) -> int:
    """Kill the switch at each of its points in turn; the next run finishes or takes back, by turns. How many points there were."""
    others, at = pids(all_seen(engine), node), 0
    while True:
        at += 1
        if not dies(engine, node, old, at, names):
            assert one_generation(engine, seen(engine, node), node, old, programs) == "new"
            engine.back(node)
            return at - 1
        if at % 2:
            done = engine.switch(node, old)
            assert one_generation(engine, seen(engine, node), node, old, programs) == "new"
            engine.back(node)
        else:
            done = engine.back(node)
        assert any("was cut off after" in note for note in done.notes), done.notes
        now = all_seen(engine)
        assert one_generation(engine, now[node], node, old, programs) == "first"
        assert pids(now, node) == others, f"point {at} touched another node"
        assert engine.record("p1").cut_off is None


@pytest.mark.proof
def test_killed_at_each_entry_of_the_journal_the_next_run_leaves_one_generation(engine: Engine, old: Path, programs: Path) -> None:
    assert killed_at_every_point(engine, NODE, old, programs, JOURNAL) >= 4


@pytest.mark.proof
@pytest.mark.parametrize("node", SHAPES)
def test_killed_at_every_command_the_next_run_leaves_one_generation(engine: Engine, old: Path, programs: Path, node: str) -> None:
    assert killed_at_every_point(engine, node, old, programs, EVERY) >= 12


@pytest.mark.proof
def test_a_host_that_reboots_starts_the_program_that_it_was_given(engine: Engine, fleet: Fleet, old: Path) -> None:
    engine.switch("p2-ansible-9", old)
    fleet["p2"].reboot()
    wait_until(lambda: seen(engine, "p2-ansible-9")["running"] == "yes", WITHIN_S)
    now = seen(engine, "p2-ansible-9")
    assert (now["program"], now["starts"]) == (sha256(old), sha256(old))
    engine.back("p2-ansible-9")


def test_without_root_nothing_is_looked_at_or_changed(engine: Engine, old: Path) -> None:
    plain = Engine(fleet=engine.fleet, env=engine.env, programs=engine.programs, user="plain", sudo=False)
    with pytest.raises(Refused, match="acts as plain on p1, and only root changes adopted nodes") as refused:
        plain.switch(NODE, old)
    assert refused.value.next == "Set hosts.p1.sudo: true in the environment file."
