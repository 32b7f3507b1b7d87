"""Compile the sources to the shipped artifacts: `python -m cortops.contracts.build`. Development only: needs vyper."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec

from cortops.contracts.abi import signature
from cortops.contracts.artifact import ALL, NAMES, Artifact
from cortops.contracts.keccak import keccak_hex

HERE = Path(__file__).parent
SOURCES, ARTIFACTS = HERE / "sources", HERE / "artifacts"


def compile_one(name: str) -> Artifact:
    """One contract of ALL and the modules it imports -> its artifact, reproducibly."""
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
    """Over the contract's source and every module that it imports, in order of name."""
    source = SOURCES / f"{name}.vy"
    text = source.read_text()
    modules = [path for path in SOURCES.glob("*.vy") if path.stem not in NAMES and f"\nimport {path.stem}\n" in text]
    used = sorted([source, *modules])
    return hashlib.sha256(b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in used)).hexdigest()


def artifact_text(artifact: Artifact) -> bytes:
    """The file's content: readable, stable, one line break at the end."""
    return msgspec.json.format(msgspec.json.encode(artifact), indent=1) + b"\n"


def main() -> int:
    """Write all artifacts."""
    for name in ALL:
        artifact = compile_one(name)
        path = ARTIFACTS / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(artifact_text(artifact))
        sys.stdout.write(f"{name}: {len(artifact.runtime_code) // 2 - 1} bytes, {artifact.code_hash}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
