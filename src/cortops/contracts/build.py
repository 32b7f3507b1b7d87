"""Compile the sources to the shipped artifacts: `python -m cortops.contracts.build`. Development only: needs vyper."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec

from cortops.contracts.abi import signature
from cortops.contracts.artifact import NAMES, Artifact
from cortops.contracts.keccak import keccak_hex

HERE = Path(__file__).parent
SOURCES, ARTIFACTS = HERE / "sources", HERE / "artifacts"


def compile_one(name: str) -> Artifact:
    """One contract of NAMES and the modules it imports -> its artifact, reproducibly."""
    import vyper  # type: ignore[import-untyped]
    from vyper.compiler import compile_from_file_input  # type: ignore[import-untyped]
    from vyper.compiler.input_bundle import FilesystemInputBundle  # type: ignore[import-untyped]

    bundle = FilesystemInputBundle([SOURCES])
    source = bundle.load_file(f"{name}.vy")
    out = compile_from_file_input(source, input_bundle=bundle, output_formats=["abi", "bytecode", "bytecode_runtime"])
    return Artifact(
        name=name,
        abi=out["abi"],
        init_code=out["bytecode"],
        runtime_code=out["bytecode_runtime"],
        code_hash=keccak_hex(bytes.fromhex(out["bytecode_runtime"][2:])),
        method_ids={signature(item): keccak_hex(signature(item).encode())[:10] for item in out["abi"] if item["type"] == "function"},
        event_topics={signature(item): keccak_hex(signature(item).encode()) for item in out["abi"] if item["type"] == "event"},
        compiler=f"vyper {vyper.__version__}",
        source_sha256=source_sha256(name),
    )


def source_sha256(name: str) -> str:
    """Over the contract's source and every module beside it that is no contract, in order of name."""
    used = sorted(path for path in SOURCES.glob("*.vy") if path.stem == name or path.stem not in NAMES)
    return hashlib.sha256(b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in used)).hexdigest()


def artifact_text(artifact: Artifact) -> bytes:
    """The file's content: readable, stable, one line break at the end."""
    return msgspec.json.format(msgspec.json.encode(artifact), indent=1) + b"\n"


def main() -> int:
    """Write all artifacts."""
    ARTIFACTS.mkdir(exist_ok=True)
    for name in NAMES:
        artifact = compile_one(name)
        (ARTIFACTS / f"{name}.json").write_bytes(artifact_text(artifact))
        sys.stdout.write(f"{name}: {len(artifact.runtime_code) // 2 - 1} bytes, {artifact.code_hash}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
