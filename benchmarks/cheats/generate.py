"""`python -m benchmarks.cheats.generate`: asks the bundled model every prompt and writes answers.json, whose lines the cases are made of.

Of each prompt: `honest` at temperature 0, as every replica of a task gives it on one kind of processor; `drift` at temperature .1, for a
replica whose processor rounds differently; `sampled` at temperature .7, for a miner without the common seed; `weak` at temperature 1.6,
for a miner that runs its model badly. Seeds are fixed: the same engine writes the same file.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.cheats.cases import ANSWERS, prompts
from cortops.programs.engine.server import opened
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import EngineSettings
from cortops.testing.binaries import smollm2
from cortops.words.clock import SystemClock

TOKENS_MAX = 64
TIMEOUT_S = 300.0
ASKED: dict[str, tuple[float, int]] = {"honest": (0.0, 1), "drift": (0.1, 11), "sampled": (0.7, 21), "weak": (1.6, 31)}


async def answer(http: HttpClient, url: str, prompt: str, temperature: float, seed: int) -> str:
    """One whole answer."""
    body: dict[str, Any] = {
        "model": "smollm2",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": TOKENS_MAX,
        "temperature": temperature,
        "seed": seed,
        "cache_prompt": False,
    }
    reply = await http.request(
        "POST",
        f"{url}/v1/chat/completions",
        headers=(("content-type", "application/json"),),
        body=json.dumps(body).encode(),
        timeout_s=TIMEOUT_S,
    )
    text: str = json.loads(reply.body)["choices"][0]["message"]["content"]
    return text.strip()


async def generate(path: Path) -> None:
    """Ask what the file does not have yet; it is written after each prompt, so that an interrupted run goes on."""
    found: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
    settings = EngineSettings(model_path=str(smollm2()), model_name="smollm2", port=0, threads=1, slots=4, context_tokens=512)
    server, http = await opened(settings), HttpClient(clock=SystemClock())
    try:
        for prompt in prompts():
            said = found.setdefault(prompt, {})
            lacking = {name: how for name, how in ASKED.items() if name not in said}
            texts = await asyncio.gather(*(answer(http, str(server.listening_address), prompt, *how) for how in lacking.values()))
            said.update(zip(lacking, texts, strict=True))
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
            print(f"{len(found)} of {len(prompts())}", file=sys.stderr)
    finally:
        await http.close()


if __name__ == "__main__":
    asyncio.run(generate(ANSWERS))
