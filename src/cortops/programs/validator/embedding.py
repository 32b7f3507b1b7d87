"""MiniLM: a text -> a vector whose direction is its meaning. The forward pass of all-MiniLM-L6-v2 in numpy.

Six layers of twelve heads, 384 numbers a token; the mean over the tokens, made of length 1. A text of more than CHUNK_TOKENS is cut into
chunks and its vector is their mean, weighted by their tokens; of a very long one the first and the last chunks are read. So a single
wrong sentence in a long answer weighs little: this compares what texts are about, not each fact in them.
Source: Devlin et al. 2018 (BERT), Reimers and Gurevych 2019 (mean pooling); file format: safetensors.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from cortops.programs.validator.wordpiece import WordPiece, read
from cortops.words.errors import BadInput

WIDTH, LAYERS, HEADS, WIDE = 384, 6, 12, 1_536
CHUNK_TOKENS = 254  # with the two marks 256, the length this model was made for
CHUNKS_MAX = 8  # about 1,500 English words; half of them from the end
NORM_EPSILON = 1e-12
HEADER_MIB_MAX = 1
TOKENIZER_MIB_MAX = 8

Array = NDArray[np.float32]


class MiniLm:
    """all-MiniLM-L6-v2. Its methods block: call them in a thread."""

    def __init__(self, weights: Mapping[str, Array], words: WordPiece) -> None:
        """weights: as `read_weights` gives them. BadInput when one is missing or has another shape."""
        for name, shape in _shapes().items():
            if name not in weights or weights[name].shape[1:] != shape[1:] or weights[name].shape[0] < shape[0]:
                raise BadInput(f"the weights file is not all-MiniLM-L6-v2: {name} is missing or has another shape")
        self._weights = weights
        self._words = words

    def embed(self, texts: Sequence[str]) -> Array:
        """One row of 384 numbers and length 1 for each text; one without any token has that of the empty sequence."""
        return np.stack([self._vector(text) for text in texts]) if texts else np.zeros((0, WIDTH), np.float32)

    def compare(self, texts: Sequence[str]) -> list[list[float]]:
        """The cosine of the vectors of each text with each, -1..1."""
        vectors = self.embed(texts)
        table: list[list[float]] = (vectors @ vectors.T).tolist()
        return table

    def _vector(self, text: str) -> Array:
        chunks = chunks_of(self._words.numbers(text))
        total = sum(_unit(self._mean([self._words.cls, *chunk, self._words.sep])) * max(1, len(chunk)) for chunk in chunks)
        return _unit(np.asarray(total, np.float32))

    def _mean(self, tokens: list[int]) -> Array:
        """The mean over the tokens of what the last layer gives."""
        w, count = self._weights, len(tokens)
        x = w["embeddings.word_embeddings.weight"][tokens] + w["embeddings.position_embeddings.weight"][:count]
        x = self._normal(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            x = self._normal(x + self._attention(x, f"{at}.attention"), f"{at}.attention.output.LayerNorm")
            wide = _gelu(self._linear(x, f"{at}.intermediate.dense"))
            x = self._normal(x + self._linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return np.asarray(x.mean(axis=0))

    def _attention(self, x: Array, at: str) -> Array:
        count = len(x)
        query, key, value = (
            self._linear(x, f"{at}.self.{name}").reshape(count, HEADS, WIDTH // HEADS).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) * np.float32(1 / math.sqrt(WIDTH // HEADS))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ value).transpose(1, 0, 2).reshape(count, WIDTH)
        return self._linear(mixed, f"{at}.output.dense")

    def _linear(self, x: Array, at: str) -> Array:
        return np.asarray(x @ self._weights[f"{at}.weight"].T + self._weights[f"{at}.bias"])

    def _normal(self, x: Array, at: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(NORM_EPSILON))
        return np.asarray(centred / spread * self._weights[f"{at}.weight"] + self._weights[f"{at}.bias"])


def load(weights: Path, tokenizer: Path) -> MiniLm:
    """Files -> the model; BadInput when they are not what this module knows, OSError when they cannot be read. Blocks for some 100 ms."""
    if tokenizer.stat().st_size > TOKENIZER_MIB_MAX * 2**20:
        raise BadInput(f"the tokenizer file is larger than {TOKENIZER_MIB_MAX} MiB")
    return MiniLm(read_weights(weights), read(tokenizer.read_bytes()))


def read_weights(path: Path) -> dict[str, Array]:
    """The float32 tensors of a safetensors file, as views of the mapped file: only what is used comes into memory. BadInput otherwise."""
    with path.open("rb") as file:
        if path.stat().st_size < 8:
            raise BadInput("the weights file is no safetensors file: too short")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = int.from_bytes(mapped[:8], "little")
    if size > HEADER_MIB_MAX * 2**20:
        raise BadInput("the weights file is no safetensors file: its header is too large")
    try:
        header = msgspec.json.decode(mapped[8 : 8 + size], type=dict[str, dict[str, Any]])
        tensors = {name: spec for name, spec in header.items() if spec.get("dtype") == "F32"}
        return {name: _tensor(mapped, 8 + size, spec) for name, spec in tensors.items()}
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"the weights file is no safetensors file: {error}") from error


def _tensor(mapped: mmap.mmap, data_at: int, spec: Mapping[str, Any]) -> Array:
    start, _ = spec["data_offsets"]
    shape = tuple(spec["shape"])
    return np.frombuffer(mapped, np.float32, math.prod(shape), data_at + start).reshape(shape)


def chunks_of(tokens: Sequence[int]) -> list[Sequence[int]]:
    """Pieces of at most CHUNK_TOKENS, at least one; of more than CHUNKS_MAX the first half and the last half of that number."""
    chunks = [tokens[at : at + CHUNK_TOKENS] for at in range(0, max(1, len(tokens)), CHUNK_TOKENS)]
    half = CHUNKS_MAX // 2
    return chunks if len(chunks) <= CHUNKS_MAX else chunks[:half] + chunks[-half:]


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.float32(math.sqrt(float(vector @ vector)) or 1.0))


def _gelu(x: Array) -> Array:
    """x times the normal distribution's share below x; erf by Abramowitz and Stegun 7.1.26 (error < 1.5e-7)."""
    z = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    terms = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    series = np.zeros_like(t)
    for term in terms:
        series = (series + np.float32(term)) * t
    below = 1 - series * np.exp(-z * z)
    return np.asarray(x * (1 + np.sign(x) * below) * np.float32(0.5))


def _shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor that is read; of the first dimension the least."""

    def dense(at: str, out: int = WIDTH, into: int = WIDTH) -> dict[str, tuple[int, ...]]:
        return {f"{at}.weight": (out, into), f"{at}.bias": (out,)}

    def norm(at: str) -> dict[str, tuple[int, ...]]:
        return {f"{at}.weight": (WIDTH,), f"{at}.bias": (WIDTH,)}

    table = {"word": 1_000, "position": CHUNK_TOKENS + 2, "token_type": 1}
    shapes: dict[str, tuple[int, ...]] = {f"embeddings.{name}_embeddings.weight": (rows, WIDTH) for name, rows in table.items()}
    shapes |= norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= dense(f"{at}.attention.{name}")
        shapes |= norm(f"{at}.attention.output.LayerNorm") | norm(f"{at}.output.LayerNorm")
        shapes |= dense(f"{at}.intermediate.dense", WIDE) | dense(f"{at}.output.dense", WIDTH, WIDE)
    return shapes
