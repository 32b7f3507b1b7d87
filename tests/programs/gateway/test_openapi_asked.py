"""The gateway asked by Schemathesis: what its document allows is answered, what it does not is refused, and all as the document says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from gateway_rig import MODEL, Rig, with_gateway
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from cortops.protocol.openapi import build

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


def ask_all(rig: Rig, mode: GenerationMode, examples: int) -> dict[str, int]:
    """Every operation that has something to get wrong; path -> how many of its cases were answered with 200. Runs in a thread."""
    operations = [found.ok() for found in schemathesis.openapi.from_dict(build()).get_all_operations()]
    return {operation.path: ask(rig, operation, mode, examples) for operation in operations if mode is POSITIVE or operation.body}


def whole(value: Any) -> Any:
    """JSON Schema takes 1.0 for an integer; msgspec wants it written as one, and no client writes it otherwise."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def ask(rig: Rig, operation: Any, mode: GenerationMode, examples: int) -> int:
    """Cases of one operation, each asked and held to the document."""
    good = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        nonlocal good
        if mode is POSITIVE and isinstance(case.body, dict):
            case.body = {name: whole(value) for name, value in case.body.items()} | {"model": MODEL}
        reply = case.call_and_validate(base_url=rig.url, headers={"Authorization": f"Bearer {rig.key}"})
        good += reply.status_code == 200

    one()
    return good


@pytest.mark.parametrize(
    ("mode", "examples"),
    [
        pytest.param(POSITIVE, 4, marks=pytest.mark.real),
        pytest.param(NEGATIVE, 4, marks=pytest.mark.real),
        pytest.param(POSITIVE, 60, marks=pytest.mark.proof),
        pytest.param(NEGATIVE, 60, marks=pytest.mark.proof),
    ],
)
def test_every_operation_keeps_to_the_document(tmp_path: Path, mode: GenerationMode, examples: int) -> None:
    async def test(rig: Rig) -> None:
        good = await asyncio.to_thread(ask_all, rig, mode, examples)
        assert {path for path, count in good.items() if bool(count) != (mode is POSITIVE)} <= {"/v1/models/{model}"}
        assert bool(rig.routers[0].asked) == (mode is POSITIVE)
        assert not any("traceback" in line for line in rig.logged())

    with_gateway(tmp_path, test, keys_stale_max_s=60.0)
