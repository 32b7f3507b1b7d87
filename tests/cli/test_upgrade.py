"""`upgrade` and `generations` in words: which release is meant, what is said before and after, and the file that is kept true."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.fleet_stage import LAB
from tests.deploy.waves.records import entry, history

from cortops.cli import generations, upgrade
from cortops.cli.common import Common
from cortops.cli.release_file import ReleaseFile
from cortops.cli.upgrade_run import Scene, _size
from cortops.cli.upgrade_told import about, plan_json, plan_text, result_json, result_text
from cortops.deploy.earning_gate import Rate
from cortops.deploy.limits import over_limits
from cortops.deploy.node_programs import Program
from cortops.deploy.waves.history import HostHistory
from cortops.deploy.waves.machine import NodeState, Phase, Upgrade, begin
from cortops.deploy.waves.plan import Candidate, UpgradePlan, Wishes, plan_upgrade
from cortops.environment.declared import Environment
from cortops.environment.load import load
from cortops.environment.rules import ApplyRules
from cortops.testing.clock import START
from cortops.words.errors import BadInput, PermissionMissing, Refused, UnknownName

OLD, NEW = "3f2a9c" + "0" * 58, "9a3f1c" + "0" * 58
FILE = LAB.replace('a1a1"}', 'a1a1", release: march}') + (
    "  m08: {program: cortensord, role: miner, runs: minerv4, host: h2, shape: ansible, unit: cortensor-1.service,\n"
    "        env_file: /opt/c/.env-1, log: /var/log/cortensord-1.log, binary: /usr/local/bin/cortensord, release: march}\n"
    "releases:\n"
    "  minimum: {cortensord: 2026-03-01}\n"
    f"  march: {{program: cortensord, sha256: {OLD}, date: 2026-03-02}}\n"
    f"  april: {{program: cortensord, sha256: {NEW}, size: 127004624, date: 2026-04-22}}\n"
    f"  ancient: {{program: cortensord, sha256: {'1' * 64}, size: 5, date: 2025-04-22}}\n"
)


@pytest.fixture
def env() -> Environment:
    loaded = load(FILE, "lab.yaml")
    assert isinstance(loaded, Environment), loaded.text
    return loaded


# --- what is meant ---


def test_words_may_come_in_any_order(env: Environment) -> None:
    assert upgrade.wanted(env, ["april"]) == ("april", (), ())
    assert upgrade.wanted(env, ["m08", "april", "h1"]) == ("april", ("m08",), ("h1",))
    assert upgrade.wanted(env, []) == ("march", (), ()), "what the file declares"


def test_a_word_that_is_nothing_is_refused_with_what_there_is(env: Environment) -> None:
    with pytest.raises(UnknownName, match="may is no release, node or host of") as refused:
        upgrade.wanted(env, ["may", "m08"])
    assert refused.value.next == "releases: march, april, ancient"
    with pytest.raises(BadInput, match="march and april are two releases"):
        upgrade.wanted(env, ["march", "april"])


def test_a_release_below_the_minimum_is_refused(env: Environment) -> None:
    with pytest.raises(Refused, match=r"ancient \(2025-04-22\) is older than the minimum, 2026-03-01"):
        upgrade.wanted(env, ["ancient"])


def test_two_declared_releases_must_be_named(env: Environment) -> None:
    loaded = load(FILE.replace("/usr/local/bin/cortensord, release: march", "/usr/local/bin/cortensord, release: april"), "lab.yaml")
    assert isinstance(loaded, Environment)
    with pytest.raises(BadInput, match="declares march, april for them: name one"):
        upgrade.wanted(loaded, [])
    assert upgrade.wanted(loaded, ["m08"])[0] == "april"
    bare = load(FILE.replace(", release: march", ""), "lab.yaml")
    assert isinstance(bare, Environment)
    with pytest.raises(BadInput, match="no such node of"):
        upgrade.wanted(bare, [])


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("40m", 2_400), ("2h", 7_200), ("7d", 604_800), (" 5min ", 300)])
def test_times(text: str, seconds: float) -> None:
    assert upgrade.seconds(text, "--within") == seconds


@pytest.mark.parametrize("text", ["", "5", "8d", "1w", "-5m", "999999h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time up to 7d"):
        upgrade.seconds(text, "--within")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (38, "38 s"), (38 * 60, "38 min"), (4_700, "78 min"), (4_790 + 1_000, "1 h 35"), (18_000, "5 h"), (3 * 86_400, "3 d")],
)
def test_times_in_words(seconds: float, text: str) -> None:
    assert about(seconds) == text


# --- before ---


def candidate(node: str, host: str, every_min: float = 38.0, **fields: object) -> Candidate:
    made = Candidate(node=node, host=host, role="miner", program=OLD, standing="old", rate=Rate(1, every_min * 60), earning=True)
    return replace(made, **fields)  # type: ignore[arg-type]


def three(**wishes: object) -> UpgradePlan:
    nodes = [
        candidate("m07", "h2", 20.0),
        candidate("m08", "h1"),
        candidate("m09", "h2", earning=False),
        candidate("m10", "h3", standing="apart", why="it is not adopted"),
        candidate("m11", "h3", standing="new"),
    ]
    return plan_upgrade("lab", "april", NEW, nodes, Wishes(**wishes))  # type: ignore[arg-type]


def test_what_will_be_done_and_for_how_long() -> None:
    plan = three()
    assert plan_text(plan, START, notes=("the moon is full",), again="cortops upgrade april --plan x").splitlines() == [
        "lab · april (9a3f1c) · 3 nodes on 2 hosts",
        "  wave 1  m07  h2  runs 3f2a9c  selected about every 20 min: its gate closes at 09:56 UTC at the latest",
        "  wave 2  m08  h1  runs 3f2a9c  selected about every 38 min, gate of at most 2 h 15",
        "          m09  h2  runs 3f2a9c  selected about every 38 min, gate of at most 2 h 15; it did not earn before",
        "left out: m10: it is not adopted",
        "already there: m11",
        "note: the moon is full",
        "2 waves: m07 takes about 41 min, all about 81 min, at most 4 h 10. All of it can be taken back.",
        f"digest {plan.digest[:12]}    next: cortops upgrade april --plan x",
    ]


def test_what_an_earlier_run_left_is_said() -> None:
    nodes = [
        candidate("m07", "h2", standing="due", before=OLD, changed_at=START, changed_for_s=60.0),
        candidate("m08", "h1", standing="half", before=OLD),
        candidate("m09", "h1", role="router", selectable=False),
    ]
    rows = plan_text(plan_upgrade("lab", "april", NEW, nodes, Wishes()), START, again="").splitlines()[1:4]
    assert rows[0].startswith("  wave 1  m07  h2  its gate is due ")
    assert rows[1].startswith("          m08  h1  runs it already ")
    assert rows[2] == "  wave 2  m09  h1  runs 3f2a9c      is never selected, gate of at most 25 min"
    bad = plan_upgrade("lab", "april", NEW, [candidate("m07", "h2", standing="bad", before=OLD, why="it died")], Wishes())
    assert plan_text(bad, START, again="").splitlines()[1] == "  wave 1  m07  h2  is taken back  it died"


def test_nothing_to_do_is_said() -> None:
    done = plan_upgrade("lab", "april", NEW, [candidate("m11", "h3", standing="new")], Wishes())
    assert plan_text(done, START, again="").splitlines() == [
        "lab · april (9a3f1c) · 0 nodes on 0 hosts",
        "already there: m11",
        "Nothing to do.",
    ]
    apart = plan_upgrade("lab", "april", NEW, [candidate("m1", "h3", standing="apart", why="h3 could not be asked: x")], Wishes())
    assert plan_text(apart, START, again="").splitlines()[1:] == [
        "left out: m1: h3 could not be asked: x",
        "Nothing can be done for those left out.",
    ]


def test_the_plan_as_json() -> None:
    told = plan_json(three())
    assert set(told) == {"environment", "release", "sha256", "digest", "waves", "passed", "apart", "estimate_s"}
    first = told["waves"][0][0]  # type: ignore[index]
    assert (first["node"], first["was"], first["selected_every_s"], first["due"], first["half"]) == ("m07", OLD, 1_200.0, False, False)


def test_the_command_is_given_back_with_its_options() -> None:
    wishes = Wishes(canary="m07", wave_max=3, per_host=2)
    assert upgrade.command(["april", "h2"], wishes, "40m", "30s") == (
        "cortops upgrade april h2 --canary m07 --wave 3 --per-host 2 --soak 30s --within 40m"
    )
    assert upgrade.command([], Wishes(), "", "10m") == "cortops upgrade"


def test_a_plan_is_found_again_by_its_digest_though_another_would_go_first_now() -> None:
    nodes = (candidate("m07", "h2", 20.0), candidate("m08", "h1", 21.0))
    plan = plan_upgrade("lab", "april", NEW, nodes, Wishes())
    later = (replace(nodes[0], rate=Rate(1, 22 * 60.0)), nodes[1])
    scene = Scene(
        program=Program(sha256=NEW, release="april"),
        observed=None,  # type: ignore[arg-type]
        histories={},
        plan=plan_upgrade("lab", "april", NEW, later, Wishes()),
        notes=(),
        candidates=later,
    )
    assert scene.plan.steps[0].node == "m08"
    found = scene.planned_as(plan.digest[:12], Wishes())
    assert found is not None and found.plan.steps[0].node == "m07"
    assert scene.planned_as("0" * 12, Wishes()) is None


def test_an_upgrade_over_a_limit_names_the_flag_and_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [candidate(f"m{number}", f"h{number}") for number in range(60)]
    plan = plan_upgrade("lab", "april", NEW, nodes, Wishes())
    size = _size(plan, nodes)
    assert (len(size.hosts), size.running, sum(map(len, size.stops))) == (60, 60, 60)
    (over,) = over_limits(size, ApplyRules())
    assert over.startswith("changes what is on 60 hosts") and "rules.apply.hosts_max is 50" in over
    scene = Scene(
        program=Program(sha256=NEW, release="april"),
        observed=None,  # type: ignore[arg-type]
        histories={},
        plan=plan,
        notes=(f"over a limit: {over}",),
        over=(over,),
    )
    assert upgrade._tell(scene, "cortops upgrade april", Common()) == upgrade.ATTENTION
    lines = capsys.readouterr().out.splitlines()
    assert f"note: over a limit: {over}" in lines
    assert lines[-1].endswith(f"next: cortops upgrade april --plan {plan.digest[:12]} --accept-large")


# --- after ---


def ended(**phases: tuple[Phase, str]) -> Upgrade:
    """m07, m08 and m09 as they ended."""
    made, _ = begin(three())
    nodes = {
        name: NodeState(
            step=node.step, phase=phases[name][0] if name in phases else Phase.WAITING, text=phases[name][1] if name in phases else ""
        )
        for name, node in made.nodes.items()
    }
    return replace(made, nodes=nodes, finished=True, stopped="you asked for no further node")


def test_all_passed() -> None:
    done = ended(**dict.fromkeys(("m07", "m08", "m09"), (Phase.PASSED, "")))
    assert result_text(done, 4_800).splitlines() == ["All 4 nodes run april (9a3f1c) and passed. It took 80 min.", "next: cortops nodes"]


def test_one_was_bad() -> None:
    assert result_text(ended(m07=(Phase.TAKEN_BACK, "it died")), 9).splitlines() == [
        "april (9a3f1c) is bad.",
        "m07 on h2: it died",
        "  1  april, passed                      m11",
        "  1  what they ran before, taken back   m07",
        "  2  what they ran before, not touched  m08, m09",
        "next: cortops nodes",
    ]
    later = result_text(ended(m07=(Phase.PASSED, ""), m08=(Phase.TAKEN_BACK, "it died")), 9)
    assert later.splitlines()[-1] == "next: cortops rollback m07    takes back those that passed too"


def test_one_is_held_and_three_ways_lead_on() -> None:
    assert result_text(ended(m07=(Phase.HELD, "it was not selected")), 9).splitlines()[0:2] == [
        "The upgrade to april (9a3f1c) is held, and waits for you.",
        "m07 on h2: it was not selected",
    ]
    assert result_text(ended(m07=(Phase.HELD, "x")), 9).splitlines()[-3:] == [
        "next: cortops upgrade april               waits on for its gate",
        "      cortops upgrade april --accept m07  says that it is good, and goes on",
        "      cortops rollback m07                takes it back",
    ]


def test_it_was_stopped_or_it_failed() -> None:
    stopped = result_text(ended(m07=(Phase.PASSED, "")), 9)
    assert stopped.splitlines()[0] == "The upgrade to april (9a3f1c) was stopped: you asked for no further node."
    assert stopped.splitlines()[-1] == "next: cortops upgrade april    goes on with what is left"
    failed = result_text(ended(m07=(Phase.UNKNOWN, "h2 is lost")), 9)
    assert "  1  not known " in failed and failed.splitlines()[-1].startswith("next: mend the reason above")


def test_the_end_as_json() -> None:
    told = result_json(ended(m07=(Phase.HELD, "it was not selected")), 9.04)
    assert (told["outcome"], told["took_s"]) == ("held", 9.0)
    assert told["nodes"][0] == {"node": "m07", "host": "h2", "wave": 1, "state": "held", "text": "it was not selected"}  # type: ignore[index]


# --- the file ---


def test_the_file_is_kept_true_and_its_mode_and_the_edits_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("nodes:\n  m[1-3]: {release: march}  # mine\n")
    path.chmod(0o640)
    file = ReleaseFile(path)
    file.declare("m2", "april")
    assert path.read_text() == "nodes:\n  m1: {release: march}\n  m2: {release: april}\n  m3: {release: march}  # mine\n"
    file.declare("m1", "april")
    file.declare("m3", "april")
    assert path.read_text() == "nodes:\n  m[1-3]: {release: april}  # mine\n", "in the end it is one entry again"
    path.write_text(path.read_text() + "# a word of somebody else\n")
    file.declare("m2", "march")
    assert path.read_text().endswith("# a word of somebody else\n") and "m2: {release: march}" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["lab.yaml"]


def test_a_file_that_cannot_be_written_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("nodes: {m1: {release: march}}\n")
    file = ReleaseFile(path)
    file.demand_writable()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PermissionMissing, match="cannot be written"):
        file.demand_writable()
    with pytest.raises(Refused, match="cannot be read"):
        ReleaseFile(tmp_path / "nowhere.yaml")


# --- generations ---


def test_generations_are_told_the_newest_first_with_what_changed() -> None:
    made = history({"a": "XYX", "b": ".XX"}, judged=(entry("a", "Y", "bad", "it died"), entry("b", "X", "passed", "committed 2")))
    lines = generations.as_text([made, HostHistory(host="h9", silent="no answer")]).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "h1 3 generations",
        "GEN AT BY NODES RUN CHANGED",
        "* 2 15 Jan 08:03:20 UTC ops@laptop 2 xxxxxx (build-x) a yyyyyy -> xxxxxx",
        "1 15 Jan 08:01:40 UTC ops@laptop 1 yyyyyy (build-y), 1 xxxxxx (build-x) a xxxxxx -> yyyyyy; adopted b",
        "0 15 Jan 08:00:00 UTC ops@laptop 1 xxxxxx (build-x) adopted",
        "a with yyyyyy: bad: it died",
        "b with xxxxxx: passed: committed 2",
        "h9 could not be asked: no answer",
        "next: cortops rollback NODE or HOST, and --to GEN for one of these",
    ]


def test_an_edit_by_hand_and_a_node_that_left_are_told() -> None:
    from tests.deploy.waves.records import manifest

    made = HostHistory(host="h1", generations=(manifest(4, {"a": "X", "b": "X"}), manifest(5, {"a": "X"}, env="e2")))
    assert [row[-1] for row in generations._rows(made)] == ["the oldest that is kept", "left b; unit or env of a"]


def test_generations_as_json() -> None:
    told = generations.as_json([history({"a": "XY"}, judged=(entry("a", "Y", "held", "not selected"),))])
    assert [one["generation"] for one in told[0]["generations"]] == [1, 0]  # type: ignore[attr-defined]
    assert told[0]["gates"][0]["outcome"] == "held"  # type: ignore[index]
