"""A request's time travels: from its client's header to the router, onto the chain, and to the miner."""

from __future__ import annotations

import msgspec
import pytest
from tests.programs.router.spine_rig import CHAT, KEY, play, spine

from cortops.programs.common.progress import Progress
from cortops.programs.miner.reading import time_for
from cortops.protocol.routes import TIMEOUT_HEADER, read_timeout
from cortops.testing.engine import Say


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("480", 480.0), ("2.5", 2.5), ("0", 0.0), (" 7 ", 7.0)),
        *((wrong, None) for wrong in ("", "-1", "1e9", "nan", "soon", "1" * 17, "1.", ".5", "١", "1_0")),
    ],
)
def test_the_header(header: str, seconds: float | None) -> None:
    assert read_timeout(header) == seconds


@pytest.mark.parametrize(("params", "seconds"), [((), 300), ((0, 0), 300), ((90, 0), 90), ((900,), 300)])
def test_the_miner_takes_no_longer_than_the_task_allows(params: tuple[int, ...], seconds: float) -> None:
    assert time_for(Progress(request_params=params), 300) == seconds


@pytest.mark.real
def test_a_client_that_waits_a_second_is_told_in_time_and_the_miner_works_no_longer() -> None:
    async def run() -> None:
        async with spine(Say(break_at=1, how="hang")) as one:
            headers = {"Authorization": f"Bearer {KEY}", TIMEOUT_HEADER: "1"}
            url = f"{one.url}/api/v1/chat/completions/{one.session}"
            async with one.web.post(url, json=CHAT, headers=headers) as reply:
                told = (await reply.json())["error"]["code"]
                assert (reply.status, told) == (504, "timeout"), told
                task = reply.headers["X-Cortensor-Task"]
            path = await one.path(task)
            assert path.state == "failed" and path.steps[-1].step == "ended", "the oracle ends it: its precommit time was that second too"
            lines = [msgspec.json.decode(line) for line in one.logs["miner"].getvalue().splitlines()]
            assert any("no result within 1 s" in str(line) for line in lines), lines

    play(run)
