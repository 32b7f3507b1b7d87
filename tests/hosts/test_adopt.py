"""A Saturday is adopted: twelve nodes, nothing of their operator's changed. A bad release reaches one of them. Then the way out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.hosts.engine import Engine
from tests.hosts.saturday import Saturday
from tests.hosts.test_discover import LOGINS, Discover, Run, discover_of, no_key_in, tree

from cortops.deploy.node_programs import declared
from cortops.deploy.observed import Present
from cortops.environment.declared import Environment
from cortops.environment.load import load_file
from cortops.testing.cortensord import CRASHES, OLD, compiled, sha256
from cortops.testing.hosts import SystemHost
from cortops.words.errors import StepFailed

pytestmark = [pytest.mark.real, pytest.mark.proof]

FILE = "saturday.yaml"
ROOT = "/var/lib/cortops/saturday"
BAD = "h1-m1"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def cortops(saturday: Saturday, home: Path) -> Iterator[Discover]:
    """The command as a person runs it, with a file that `discover` wrote. Afterwards nothing of ours is left on any host."""
    run = discover_of(saturday.fleet, home)
    assert run("me@h1", "me@h2", "me@h3", "--sudo", "--write", FILE).status == 0
    yield run
    assert saturday.strays(FILE.removesuffix(".yaml"), home) == []
    for host in saturday.fleet:
        run(host.name, FILE, "--yes", verb="leave")
        assert host.run("ls /var/lib/cortops /etc/systemd/system/*.d/50-cortops.conf").stdout == ""


def lay(saturday: Saturday, *names: str) -> Mapping[str, set[str]]:
    """On each host all that is the operator's: hash, inode, mode, owner and times of every file, and every pid."""
    logs = {node.log for node in saturday.nodes if node.log.startswith("/")}
    but = (*LOGINS, *logs, "/var/lib/docker-standin", "/var/lib/docker", "/var/lib/cortops", "/var/lib/sudo")
    hosts = [host for host in saturday.fleet if not names or host.name in names]
    seen = {host.name: tree(host, but) | set(running(host).splitlines()) for host in hosts}
    return {
        name: {line for line in lines if not line.endswith(" /var/lib")} for name, lines in seen.items()
    }  # our folder came and went there


def running(host: SystemHost) -> str:
    return host.do("pgrep --full --list-full 'cortensord[^ ]* [^ ]*env' | sort")


@contextmanager
def arguments_watched(saturday: Saturday) -> Iterator[list[str]]:
    """Hosts look meanwhile, again and again, for a private key among the arguments and variables of any process of ours."""
    keys = "\n".join(node.private_key.removeprefix("0x") for node in saturday.nodes).encode()
    script = (
        "umask 077; cat >/run/keys; rm -f /run/watched; while [ ! -e /run/watched ]; do for file in /proc/[0-9]*/cmdline; do "
        "{ tr '\\0' '\\n' <$file; } 2>/dev/null; done | grep -F -f /run/keys; done; rm /run/watched /run/keys"
    )
    found: list[str] = []
    threads = [threading.Thread(target=lambda host=host: found.append(host.run(script, data=keys).stdout)) for host in saturday.fleet]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        for host in saturday.fleet:
            host.do("touch /run/watched")
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def adopted(saturday: Saturday, cortops: Discover) -> tuple[Run, Run, Mapping[str, set[str]], Mapping[str, set[str]], list[str]]:
    """The plan, the adoption, and what lay and ran on each host before and after it."""
    before, plan = lay(saturday), cortops(FILE, verb="adopt")
    for host in saturday.fleet:
        assert host.run("ls /var/lib/cortops").returncode != 0, "a plan writes nothing"
    with arguments_watched(saturday) as arguments:
        done = cortops(FILE, "--plan", plan.out.split("digest ")[1][:12], verb="adopt")
    return plan, done, before, lay(saturday), arguments


Adopted = tuple[Run, Run, Mapping[str, set[str]], Mapping[str, set[str]], list[str]]


def test_it_shows_what_it_would_copy_before_it_does(adopted: Adopted) -> None:
    plan, done, _, _, _ = adopted
    assert (plan.status, done.status) == (3, 0), plan.err + done.err
    assert "h1  4 nodes: copies of their programs, units and env files, in /var/lib/cortops/saturday there" in plan.out.splitlines()
    assert plan.out.count("as found-") == 12
    assert plan.out.splitlines()[-1].endswith(f"next: cortops adopt {FILE} --plan {plan.out.split('digest ')[1][:12]}")
    assert "h2  5 nodes adopted, generation 0: h2-alpha, h2-beta, h2-m1, h2-m2, h2-miner" in done.out.splitlines()


def test_nothing_of_the_operators_is_changed_and_nobody_is_restarted(adopted: Adopted) -> None:
    _, _, before, after, _ = adopted
    for host, things in before.items():
        assert after[host] ^ things == set(), host


def test_each_host_has_generation_0_and_copies_that_are_equal(saturday: Saturday, adopted: Adopted) -> None:
    for host in saturday.fleet:
        assert host.do(f"ls {ROOT}/manifests").split() == ["0000.json"]
        blobs = host.do(f"sha256sum {ROOT}/blobs/*").split()
        assert blobs == [sha256(saturday.program), f"{ROOT}/blobs/cortensord-{sha256(saturday.program)[:16]}"]
        assert host.do(f"find {ROOT}/adopted -perm /077") == "", "for root only"
        copies = set(host.do(f"sha256sum {ROOT}/adopted/*/*/[0-9]* | cut --characters=1-64").split())
        for node in saturday.on(host.name):
            if node.shape != "docker":
                assert host.do(f"sha256sum {node.env_file}").split()[0] in copies, node.name
            if node.shape in ("systemd", "ansible"):
                assert host.do(f"sha256sum /etc/systemd/system/{node.unit}").split()[0] in copies, node.name


def test_the_file_names_what_each_runs_and_a_plan_has_nothing_to_do(
    saturday: Saturday, cortops: Discover, home: Path, adopted: Adopted
) -> None:
    env = load_file(home / FILE)
    assert isinstance(env, Environment)
    (release,) = env.programs.values()
    assert (release.sha256, release.size, release.source) == (sha256(saturday.program), saturday.program.stat().st_size, "found@h1")
    assert {node.release for node in env.installed.values()} == set(env.programs)
    plan = cortops(FILE, verb="plan")
    assert plan.status == 0 and plan.out.splitlines()[-1] == "Nothing to do.", plan.out + plan.err
    before = (home / FILE).read_bytes()
    again, found = cortops(FILE, "--yes", verb="adopt"), cortops("me@h1", "me@h2", "me@h3", "--sudo", "--write", FILE)
    assert again.status == 0 and "Nothing to do: 12 nodes are adopted" in again.out
    assert "says all this already" in found.out and (home / FILE).read_bytes() == before


def test_no_private_key_left_its_host_or_stands_in_what_we_write(
    saturday: Saturday, cortops: Discover, home: Path, adopted: Adopted
) -> None:
    plan, done, _, _, arguments = adopted
    no_key_in(saturday.nodes, plan, done, cortops(FILE, "--json", verb="adopt"), cortops(FILE, "--json", verb="plan"))
    assert arguments == ["", "", ""], "no argument list held one"
    here = [path for path in home.rglob("*") if path.is_file()]
    for node in saturday.nodes:
        key = node.private_key.removeprefix("0x")
        assert [path for path in here if key.encode() in path.read_bytes()] == [], node.name
        script = f"grep --recursive --files-with-matches --file=- {ROOT} /etc/systemd || :"
        places = saturday.fleet[node.host].do(script, data=key.encode()).split()
        assert len(places) == 1 and "/adopted/" in places[0] and "/env-" in places[0], "its copy, for root only, and nothing else"


def engine_of(saturday: Saturday, home: Path) -> Engine:
    env = load_file(home / FILE)
    assert isinstance(env, Environment)
    return Engine(fleet=saturday.fleet, env=env, programs=saturday.programs)


def all_pids(engine: Engine) -> dict[str, str]:
    """Node -> pid, of all hosts."""
    looks = {host: engine.look(host, lambda record: declared(record, ())) for host in ("h1", "h2", "h3")}
    seen = {name: looks[node.host].node(name) for name, node in engine.env.installed.items()}
    return {name: one.attributes["pid"] for name, one in seen.items() if isinstance(one, Present)}


def test_a_bad_release_reaches_one_of_twelve_and_the_old_one_goes_on_earning(saturday: Saturday, home: Path, adopted: Adopted) -> None:
    engine = engine_of(saturday, home)
    _, committed = saturday.network.round(saturday.addresses, step_s=20)
    assert committed == set(saturday.addresses), "all earn before"
    before, earned = all_pids(engine), list[frozenset[str]]()
    others = [node.address for node in saturday.nodes if node.address.lower() != engine.env.installed[BAD].address.lower()]  # type: ignore[union-attr]
    over = threading.Event()

    def rounds() -> None:
        while not over.is_set():
            earned.append(saturday.network.round(others, step_s=20)[1])

    thread = threading.Thread(target=rounds)
    thread.start()
    try:
        with pytest.raises(StepFailed, match="did not stay up with"):
            engine.switch(BAD, compiled(CRASHES, saturday.programs))
    finally:
        over.set()
        thread.join()
    assert earned and all(each == set(others) for each in earned), "eleven commit in every round meanwhile"
    _, committed = saturday.network.round(saturday.addresses, step_s=20)
    assert committed == set(saturday.addresses), "and all twelve after it"
    after = all_pids(engine)
    assert {name for name in after if after[name] != before[name]} == {BAD}


def test_another_release_and_back_and_equal_hashes(saturday: Saturday, cortops: Discover, home: Path, adopted: Adopted) -> None:
    engine = engine_of(saturday, home)
    before, pids = lay(saturday, "h1")["h1"], all_pids(engine)
    engine.switch(BAD, compiled(OLD, saturday.programs))
    leave = cortops("h1", FILE, verb="leave")
    assert leave.status == 1 and f"{BAD} runs a program of ours on h1" in leave.err and f"cortops rollback {BAD} --to 0" in leave.err
    plan = cortops(FILE, verb="plan")
    assert plan.status == 3 and f"node-program:{BAD}" in plan.out and f"next: cortops upgrade {FILE}" in plan.out
    engine.back(BAD)
    now = all_pids(engine)
    assert {name for name in now if now[name] != pids[name]} == {BAD}
    hashes = {line for line in lay(saturday, "h1")["h1"] if len(line.split()[0]) == 64}
    assert hashes == {line for line in before if len(line.split()[0]) == 64}


def test_leave_removes_every_file_of_ours_and_no_node_notices(saturday: Saturday, cortops: Discover, home: Path, adopted: Adopted) -> None:
    before = lay(saturday)
    shown = cortops("h3", FILE, verb="leave")
    assert shown.status == 3 and shown.out.splitlines()[-1].endswith(f"next: cortops leave h3 {FILE} --yes")
    assert saturday.fleet["h3"].run(f"ls {ROOT}/manifests/0000.json").returncode == 0
    for host in saturday.fleet:
        left = cortops(host.name, FILE, "--yes", verb="leave")
        assert left.status == 0 and "removed" in left.out, left.out + left.err
        assert host.run(f"ls -d /var/lib/cortops {ROOT}").stdout == ""
        assert cortops(host.name, FILE, "--yes", verb="leave").out.strip() == f"Nothing to do: {host.name} holds nothing of ours."
    after = lay(saturday)
    for name, things in before.items():
        assert after[name] ^ things == set(), name
    plan = cortops(FILE, verb="plan")
    assert plan.status == 3 and plan.out.count("was never adopted: cortops adopt") == 12
