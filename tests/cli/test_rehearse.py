"""`upgrade --rehearse` on copies of an adopted node, as people run it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from tests.cli.inside_box import Inside, adopted, program_known

from cortops.targets.target import Exited
from cortops.testing.cortensord import CRASHES, GOOD

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with adopted(tmp_path_factory.mktemp("rehearse")) as place:
        program_known(place, GOOD, "april")
        yield place


def as_it_is(inside: Inside) -> tuple[list[str], str]:
    """Every file of ours and of the operator on the host, with its hash, and the node's process."""
    files = inside.run(
        f"find /var/lib/cortops {inside.folder} -path {inside.folder}/cache -prune -o -type f ! -name log -exec sha256sum {{}} +"
    )
    return sorted(files.out), " ".join(inside.run("pgrep -x cortensord").out)


def test_a_good_one_is_shown_and_no_host_is_changed(inside: Inside) -> None:
    before = as_it_is(inside)
    said = inside.cortops("upgrade", "april", "lab.yaml", "--rehearse")
    assert said.ok, (said.out, said.err)
    assert said.out[0].startswith("Rehearsed on this machine in ") and said.out[0].endswith("on copies of 1 node. No host was changed.")
    assert " ".join(said.out[1].split()).startswith("m1 switched in ") and said.out[1].endswith("stays up for 5 s  back with equal hashes")
    assert said.out[-1].startswith("digest ") and "next: cortops upgrade april lab.yaml --plan " in said.out[-1]
    assert as_it_is(inside) == before


@pytest.mark.proof
def test_a_bad_one_is_told_before_any_node_has_it(inside: Inside) -> None:
    program_known(inside, CRASHES, "may")
    before = as_it_is(inside)
    said = inside.cortops("upgrade", "may", "lab.yaml", "--rehearse", "--json")
    told = json.loads("\n".join(said.out))
    assert (said.ending, told["rehearsed"]["outcome"]) == (Exited(1), "bad"), said.err
    assert told["rehearsed"]["nodes"][0]["state"] == "taken back"
    assert "did not stay up" in told["rehearsed"]["nodes"][0]["text"]
    assert told["rehearsed"]["nodes"][0]["back"] is True
    assert told["plan"]["waves"][0][0]["node"] == "m1"
    assert as_it_is(inside) == before


@pytest.mark.proof
def test_one_that_is_killed_leaves_nothing(inside: Inside) -> None:
    before = as_it_is(inside)
    words = f"{sys.prefix}/bin/cortops upgrade april lab.yaml --rehearse"
    places = f"cd {inside.folder}; export CORTOPS_HOME={inside.folder}/cache CORTOPS_DATA={inside.folder}/data TMPDIR={inside.folder}"
    copies, again = "$(pgrep -cx cortensord)", "[ $left -gt 0 ]; do sleep .05; left=$((left - 1)); done"
    said = inside.run(
        f"{places}; {words} >/dev/null 2>&1 & begun=$!\n"
        f"left=1200; while [ {copies} -lt 2 ] && {again}; echo {copies}\n"
        f"kill -KILL $begun; left=400; while ls -d {inside.folder}/cortops-rehearsal-* >/dev/null && {again}\n"
        f"echo {copies}"
    )
    assert (said.out[0], said.out[-1]) == ("2", "1"), said
    assert as_it_is(inside) == before
