"""The program that a host runs to find its nodes, run for real over file trees made here, in every sh that we can get."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.surfaces.fleet.fake_root import BINARY, POINTER, FakeRoot, address

from cortops.surfaces.fleet.found.discover import HostFound, question, read, script
from cortops.surfaces.fleet.found.installed import Installed, Shape

pytestmark = pytest.mark.real  # real shells and their tools, hundreds of processes

UNIT = """[Unit]
Description=Cortensor

[Service]
Type=simple
User={user}
WorkingDirectory={folder}
EnvironmentFile={folder}/{env}
StandardOutput=append:{log}
ExecStart=/usr/local/bin/cortensord {env} {role} 1 docker
Restart=on-failure
"""
SHELLS = {"sh": ("sh",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh")}
ANSIBLE = "cortensor"  # the user of the Ansible roles
CONTAINER = "c0" * 32

Look = Callable[..., HostFound]


def env_text(number: int, **lines: str) -> str:
    told = {"NODE_PUBLIC_KEY": address(number), "CHAINID": "421614", "HOST": f"https://rpc.example/v1/{number}"} | lines
    return "".join(f"{key}={value}\n" for key, value in told.items())


@pytest.fixture
def root(tmp_path: Path) -> FakeRoot:
    return FakeRoot(tmp_path)


@pytest.fixture
def look(root: FakeRoot) -> Look:
    def look(shell: Sequence[str] = ("sh",)) -> HostFound:
        return read(root.tell(shell), "h1", asked_at=0)

    return look


def only(found: HostFound) -> Installed:
    (node,) = found.nodes
    return node


def systemd_node(
    root: FakeRoot, *, unit: str = "cortensor.service", user: str = "deploy", env: str = ".env", number: int = 1, running: bool = True
) -> int:
    """A node of the installer or of the Ansible roles; its pid."""
    folder, log = f"/home/{user}/.cortensor", f"/var/log/{unit.removesuffix('.service')}.log"
    root.put(f"{folder}/{env}", env_text(number))
    root.put(f"/etc/systemd/system/{unit}", UNIT.format(user=user, folder=folder, env=env, log=log, role="minerv4"))
    if not running:
        return 0
    return root.process([BINARY, env, "minerv4", "1", "docker"], cwd=folder, out=log, group=f"/system.slice/{unit}")


def salt_node(root: FakeRoot, name: str, *, role: str = "minerv4", number: int = 1) -> None:
    folder = "/opt/cortensor/nodes"
    unit = UNIT.format(
        user="deploy", folder=f"{folder}/%i", env=".env-%i", log="/var/log/cortensor/cortensord-%i.log", role="${AGENT_ROLE}"
    )
    root.put("/etc/systemd/system/cortensord@.service", unit)
    root.put(f"{folder}/{name}/.env-{name}", env_text(number, AGENT_ROLE=role))
    root.link(f"{folder}/{name}/.env", f"{folder}/{name}/.env-{name}")


def nohup_node(root: FakeRoot, user: str = "ops", *, number: int = 1) -> int:
    folder = f"/home/{user}/.cortensor"
    root.put(f"{folder}/.env", env_text(number))
    root.put(f"{folder}/logs/cortensord.log", "a line\n")
    pid = root.process(["cortensord", f"{folder}/.env", "minerv2"], cwd=folder, out=f"{folder}/logs/cortensord.log")
    root.put(f"{folder}/cortensord.pid", f"{pid}\n")
    return pid


def docker_node(
    root: FakeRoot, *, number: int = 1, running: bool = True, command: Sequence[str] = ("/bin/bash", "-c", "/home/deploy/.cortensor/run.sh")
) -> None:
    words = "".join(f"word\t{word}\n" for word in command)
    state = f"pid\t{77 if running else 0}\nrunning\t{str(running).lower()}\nstarted\t2026-01-01T00:00:00.5Z\nrestarts\t2\n"
    inside = {
        "/home/deploy/.cortensor/.env": env_text(number),
        "/home/deploy/.cortensor/run.sh": "tool register\ncortensord .env minerv4 1 docker\n",
    }
    said = f"{state}policy\tunless-stopped\nworkdir\t/home/deploy/.cortensor\n{words}env\tPUBLIC_KEY={address(number)}\n"
    root.docker({f"{CONTAINER} cortensor-3 cortensor-image": said}, {f"{CONTAINER}:{path}": text for path, text in inside.items()})
    if running:
        for path, text in inside.items():
            root.put(f"/inside{path}", text)
        root.put("/inside/home/deploy/.cortensor/cortensord", "the program of the image\n")
        argv = ["/home/deploy/.cortensor/cortensord", ".env", "minerv4", "1", "docker"]
        root.process(argv, cwd="/home/deploy/.cortensor", exe=argv[0], group=f"/system.slice/docker-{CONTAINER}.scope", prefix="/inside")


@pytest.fixture(params=SHELLS, ids=str)
def shell(request: pytest.FixtureRequest) -> Sequence[str]:
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed here")
    return words


Row = tuple[object, ...]


def row(node: Installed) -> Row:
    return (node.shape, node.instance, node.role, node.runs, node.unit, node.env_file, node.log, node.running, node.address)


def salt_row(name: str, role: str, runs: str, number: int) -> Row:
    env_file, log = f"/opt/cortensor/nodes/{name}/.env-{name}", f"/var/log/cortensor/cortensord-{name}.log"
    return ("salt", name, role, runs, f"cortensord@{name}.service", env_file, log, False, address(number))


def ansible_row(number: int) -> Row:
    env_file, log = f"/home/{ANSIBLE}/.cortensor/.env-{number}", f"/var/log/cortensor-{number}.log"
    return ("ansible", str(number), "miner", "minerv4", f"cortensor-{number}.service", env_file, log, True, address(number))


SHAPES: set[Row] = {
    ("systemd", "", "miner", "minerv4", "cortensor.service", "/home/deploy/.cortensor/.env", "/var/log/cortensor.log", True, address(1)),
    *(ansible_row(number) for number in range(2, 5)),
    salt_row("alpha", "miner", "minerv4", 5),
    salt_row("beta", "router", "routerv1", 6),
    ("nohup", "", "miner", "minerv2", "", "/home/ops/.cortensor/.env", "/home/ops/.cortensor/logs/cortensord.log", True, address(7)),
    ("docker", "3", "miner", "minerv4", "cortensor-3", "/home/deploy/.cortensor/.env", "docker:cortensor-3", True, address(8)),
}


def test_five_shapes_each_once_in_every_shell(root: FakeRoot, look: Look, shell: Sequence[str]) -> None:
    pid = systemd_node(root, number=1)
    root.process(
        [BINARY, ".env", "minerv4", "1", "docker"], cwd="/home/deploy/.cortensor", group="/system.slice/cortensor.service", parent=pid
    )
    for number in range(2, 5):
        systemd_node(root, unit=f"cortensor-{number}.service", user=ANSIBLE, env=f".env-{number}", number=number)
    salt_node(root, "alpha", number=5)
    salt_node(root, "beta", role="routerv1", number=6)
    nohup_node(root, number=7)
    docker_node(root, number=8)
    root.systemd({"cortensor.service": {"ActiveState": "active", "MainPID": str(pid), "NRestarts": "3", "UnitFileState": "enabled"}})
    found = look(shell)
    assert found.complete and found.notes == ()
    assert len(found.nodes) == len(SHAPES) and {row(node) for node in found.nodes} == SHAPES
    first = next(node for node in found.nodes if node.shape is Shape.SYSTEMD)
    assert (first.pid, first.restarts, first.enabled, first.started_at) == (pid, 3, True, 1_700_000_042.0)


def test_twenty_five_nodes_on_a_host(root: FakeRoot, look: Look) -> None:
    for number in range(1, 26):
        systemd_node(root, unit=f"cortensor-{number}.service", user=ANSIBLE, env=f".env-{number}", number=number)
    found = look()
    assert sorted(int(node.instance) for node in found.nodes) == list(range(1, 26))
    assert {node.address for node in found.nodes} == {address(number) for number in range(1, 26)}


def test_hashes_are_those_of_the_files(root: FakeRoot, look: Look) -> None:
    systemd_node(root)
    drop_in = root.put("/etc/systemd/system/cortensor.service.d/limit.conf", "[Service]\nLimitNOFILE=1\n")
    node = only(look())
    texts = [root.path / "etc/systemd/system/cortensor.service", drop_in]
    assert node.unit_sha256 == hashlib.sha256(b"".join(path.read_bytes() for path in texts)).hexdigest()
    assert node.env_sha256 == hashlib.sha256((root.path / "home/deploy/.cortensor/.env").read_bytes()).hexdigest()
    assert node.binary_sha256 == node.running_sha256 == hashlib.sha256(b"the program\n").hexdigest()
    assert (node.binary, node.binary_kind, node.env_mode) == (BINARY, "program", "644")


def test_a_drop_in_starts_another_program(root: FakeRoot, look: Look) -> None:
    systemd_node(root, running=False)
    root.put("/srv/blobs/9a3f", "another program\n", mode=0o755)
    root.put(
        "/etc/systemd/system/cortensor.service.d/50-own.conf", "[Service]\nExecStart=\nExecStart=/srv/blobs/9a3f .env minerv4 1 docker\n"
    )
    node = only(look())
    assert (node.binary, node.running, node.shape) == ("/srv/blobs/9a3f", False, Shape.SYSTEMD)


def test_a_program_that_was_replaced_still_runs(root: FakeRoot, look: Look) -> None:
    systemd_node(root, running=False)
    root.put("/old", "the old program\n")
    root.process([BINARY, ".env", "minerv4"], cwd="/home/deploy/.cortensor", exe="/old", group="/system.slice/cortensor.service")
    node = only(look())
    assert node.running_sha256 == hashlib.sha256(b"the old program\n").hexdigest() != node.binary_sha256
    assert node.binary == BINARY


def test_a_pointer_is_no_program(root: FakeRoot, look: Look) -> None:
    systemd_node(root, running=False)
    root.put(BINARY, POINTER.format(oid="9a" * 32))
    node = only(look())
    assert (node.binary_kind, node.lfs_oid) == ("lfs-pointer", "9a" * 32)


def test_what_is_missing_is_said(root: FakeRoot, look: Look) -> None:
    systemd_node(root, running=False)
    (root.path / BINARY[1:]).unlink()
    (root.path / "home/deploy/.cortensor/.env").unlink()
    node = only(look())
    assert (node.binary_kind, node.binary_sha256, node.env_sha256, node.address) == ("missing", "", "", "")
    assert node.notes == ("its env file is missing",)


def test_a_container_that_does_not_run_is_found_by_what_starts_it(root: FakeRoot, look: Look) -> None:
    docker_node(root, number=4, running=False)
    node = only(look())
    assert (node.shape, node.runs, node.running, node.enabled, node.address) == (Shape.DOCKER, "minerv4", False, True, address(4))
    assert node.env_sha256 == hashlib.sha256(env_text(4).encode()).hexdigest()


def test_where_processes_are_hidden_docker_and_systemd_are_believed(root: FakeRoot, look: Look) -> None:
    docker_node(root, number=4)
    systemd_node(root, number=5, running=False)
    root.systemd({"cortensor.service": {"ActiveState": "active", "MainPID": "4711", "NRestarts": "0", "UnitFileState": "enabled"}})
    shutil.rmtree(root.path / "proc")
    root.put("/proc/stat", "btime 1700000000\n")
    found = look()
    assert found.blind
    assert {(node.shape, node.running, node.pid) for node in found.nodes} == {("docker", True, None), ("systemd", True, 4711)}


def test_a_container_that_tells_nothing_is_told_of(root: FakeRoot, look: Look) -> None:
    docker_node(root, running=False, command=("tail", "-f", "/dev/null"))
    found = look()
    assert found.nodes == ()
    assert found.notes == ("container cortensor-3 has the name or image of a node, and no command in it that starts one was seen",)


def test_a_unit_without_a_process_is_a_stopped_node_and_a_process_without_its_unit_runs_by_hand(root: FakeRoot, look: Look) -> None:
    systemd_node(root, running=False)
    assert (only(look()).running, only(look()).enabled) == (False, False)
    root.link("/etc/systemd/system/default.target.wants/cortensor.service", "../cortensor.service")
    assert only(look()).enabled is True
    root.process([BINARY, ".env", "minerv4"], cwd="/home/deploy/.cortensor", group="/system.slice/ssh.service")
    node = only(look())
    assert (node.shape, node.running, node.unit) == (Shape.NOHUP, True, "")
    assert node.notes == ("cortensor.service would start it a second time: it runs without that unit",)


def test_two_processes_of_one_env_file_are_told(root: FakeRoot, look: Look) -> None:
    first, second = (root.process([BINARY, "/home/ops/.cortensor/.env", "minerv4"], parent=1) for _ in range(2))
    root.put("/home/ops/.cortensor/.env", env_text(1))
    assert only(look()).notes == (f"runs 2 times: pids {first}, {second}",)


@pytest.mark.parametrize(
    "argv",
    [
        ["sudo", BINARY, "/e/.env", "minerv4"],
        ["ssh", "h2", "cortensord", "/e/.env", "minerv4"],
        ["tail", "-f", "/var/log/cortensord.log"],
        ["cortensord", "/e/.env", "tool", "register"],
        ["grep", "cortensord .env minerv4"],
        ["vi", "/e/.env-minerv4"],
        ["/usr/bin/env-minerv4", "x"],
    ],
)
def test_what_only_speaks_of_a_node_is_none(root: FakeRoot, look: Look, argv: list[str]) -> None:
    root.put("/e/.env", env_text(1))
    root.process(argv, exe="/usr/bin/other")
    assert look().nodes == ()


def test_a_machine_within_this_one_is_another_host(root: FakeRoot, look: Look) -> None:
    root.put("/e/.env", env_text(1))
    pid = root.process([BINARY, "/e/.env", "minerv4"], group="/lxc.payload.guest/system.slice/cortensor.service")
    root.put(f"/proc/{pid}/status", f"Name:\tcortensord\nNSpid:\t{pid}\t7\n")
    found = look()
    assert found.nodes == ()
    assert found.notes == ("1 processes of nodes run in machines within this one (LXC, nspawn); name those as hosts to see them",)
    root.put(f"/proc/{pid}/status", f"Name:\tcortensord\nNSpid:\t{pid}\n")
    assert only(look()).pid == pid


def test_an_interpreter_runs_a_node_and_its_own_hash_says_nothing(root: FakeRoot, look: Look) -> None:
    root.put("/e/.env", env_text(1))
    root.put("/usr/bin/python3.11", "python")
    root.process(["/usr/bin/python3.11", BINARY, "/e/.env", "validatorv3"], exe="/usr/bin/python3.11")
    node = only(look())
    assert (node.role, node.binary, node.running_sha256) == ("validator", BINARY, "")


def test_a_role_that_is_not_known_is_told_and_no_node(root: FakeRoot, look: Look) -> None:
    root.put("/etc/systemd/system/cortensor.service", UNIT.format(user="a", folder="/a", env=".env", log="/l", role="gatekeeperv1"))
    found = look()
    assert found.nodes == ()
    assert found.notes == ("/a/.env is started as gatekeeperv1, which is no role that is known here",)


def test_env_files_that_nothing_starts_are_told(root: FakeRoot, look: Look) -> None:
    root.put("/home/ops/.cortensor/.env", env_text(1))
    assert (look().nodes, look().notes) == ((), ("/home/ops/.cortensor/.env belongs to no unit, process or container",))
    root.put("/home/ops/.cortensor/logs/cortensord.log", "it ran once\n")
    root.put(
        "/home/ops/.cortensor/bin/start-cortensor.sh",
        '# cortensord .env minerv1\nCMD="nohup cortensord $HOME/.cortensor/.env minerv2 > x"\n',
    )
    node = only(look())
    assert (node.shape, node.running, node.runs) == (Shape.NOHUP, False, "minerv2")


def test_timers_and_cron_that_restart_nodes(root: FakeRoot, look: Look) -> None:
    systemd_node(root, running=False)
    root.put("/etc/systemd/system/cortensord-restart.service", "[Service]\nExecStart=/bin/systemctl restart cortensord.service\n")
    root.put("/etc/systemd/system/cortensord-restart.timer", "[Timer]\nOnCalendar=*-*-* 04:00:00  # daily\n")
    root.link("/etc/systemd/system/timers.target.wants/cortensord-restart.timer", "../cortensord-restart.timer")
    root.put("/etc/cron.d/nodes", "# nodes\n0 5 * * * root TOKEN=abc systemctl restart cortensor && curl https://x.example/abc\n")
    told = [(timer.name, timer.schedule, timer.enabled, timer.restarts, timer.missing) for timer in look().timers]
    assert told == [
        ("cortensord-restart.timer", "*-*-* 04:00:00", True, ("cortensord.service",), ("cortensord.service",)),
        ("/etc/cron.d/nodes", "0 5 * * *", True, ("cortensor.service",), ()),
    ]


def test_a_masked_unit_is_none_and_an_own_one_wins(root: FakeRoot, look: Look) -> None:
    text = UNIT.format(user="a", folder="/a", env=".env", log="/l", role="minerv4")
    root.put("/usr/lib/systemd/system/cortensor.service", text.replace("minerv4", "minerv2"))
    root.put("/etc/systemd/system/cortensor.service", text)
    assert only(look()).runs == "minerv4"
    (root.path / "etc/systemd/system/cortensor.service").unlink()
    root.link("/etc/systemd/system/cortensor.service", "/dev/null")
    assert look().nodes == ()


def test_the_host_itself(root: FakeRoot, look: Look) -> None:
    found = look()
    assert (found.system, found.systemd, found.complete, found.nodes, found.blind) == ("Fake 1", False, True, (), False)
    assert found.disk_free_mib is not None and found.clock_offset_s is not None and found.clock_offset_s > 1e9
    (root.path / "proc/1").rmdir()
    assert look().blind


def test_the_question_is_one_and_holds_the_whole_program() -> None:
    asked = question("h1")
    assert (asked.id, asked.target, asked.script) == ("discover:h1", "h1", script())
    assert "<<" not in asked.script, "a here-document may be written to a file"


def test_nothing_is_written(root: FakeRoot, look: Look) -> None:
    systemd_node(root)
    salt_node(root, "alpha")
    nohup_node(root)
    docker_node(root, number=8)

    def tree() -> dict[str, tuple[int, int, int]]:
        return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_size) for path in root.path.rglob("*")}

    before = tree()
    assert len(look().nodes) == 4
    assert tree() == before
