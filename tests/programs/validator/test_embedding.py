from __future__ import annotations

import math
import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cortops.programs.validator.embedding import CHUNK_TOKENS, CHUNKS_MAX, MiniLm, chunks_of, load, read_weights
from cortops.programs.validator.embedding import _gelu as gelu
from cortops.testing.embedding import minilm
from cortops.words.errors import BadInput

MIN = 0.75  # the default of VALIDATOR_SIMILARITY_MIN

PARAPHRASES = [
    ("Paris is the capital of France.", "The capital of France is Paris."),
    ("The sky is blue because of Rayleigh scattering.", "Rayleigh scattering makes the sky look blue."),
    ("Water boils at 100 degrees Celsius at sea level.", "At sea level, the boiling point of water is 100 degrees Celsius."),
    ("I cannot help with that request.", "Sorry, I am unable to help you with that request."),
    ("Use a for loop to go through the list.", "You can iterate over the list with a for loop."),
    ("Bees make honey out of the nectar of flowers.", "Honey is made by bees from flower nectar."),
]
OTHERS = [
    ("Paris is the capital of France.", "Lyon is the capital of France."),
    ("Paris is the capital of France.", "Berlin is the capital of Germany."),
    ("The sky is blue because of Rayleigh scattering.", "Send your coins to this address today."),
    ("Water boils at 100 degrees Celsius at sea level.", "I cannot help with that request."),
    ("Bees make honey out of the nectar of flowers.", "The train to Munich leaves at nine."),
    ("Use a for loop to go through the list.", "lorem ipsum dolor sit amet"),
    ("Yes.", "No."),
]


def safetensors(path: Path, header: object, data: bytes = b"") -> Path:
    text = msgspec.json.encode(header)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_weights_are_read_as_they_stand_in_the_file(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [16, 20]},
        "places": {"dtype": "I64", "shape": [1], "data_offsets": [20, 28]},
    }
    found = read_weights(safetensors(tmp_path / "w", header, struct.pack("<5f", 1, 2, 3, 4, 5) + bytes(8)))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"a": [[1, 2], [3, 4]], "b": [5]}


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, "no safetensors file"),
        ({"a": {"dtype": "F32"}}, "no safetensors file"),
        ({"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]}}, "no safetensors file"),
        ([1], "no safetensors file"),
        ("x" * 2**21, "header is too large"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, header: object, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        read_weights(safetensors(tmp_path / "w", header))


@pytest.mark.parametrize("content", [b"", b"short", struct.pack("<Q", 2) + b"{]"])
def test_a_torn_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(BadInput, match="no safetensors file"):
        read_weights(tmp_path / "w")


def test_another_model_is_refused(tmp_path: Path) -> None:
    model = {"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}}
    (tmp_path / "t").write_bytes(msgspec.json.encode({"model": model, "normalizer": {"type": "BertNormalizer", "lowercase": True}}))
    with pytest.raises(BadInput, match=r"not all-MiniLM-L6-v2: embeddings\.word_embeddings\.weight"):
        load(safetensors(tmp_path / "w", {}), tmp_path / "t")
    with pytest.raises(OSError):
        load(tmp_path / "nothing", tmp_path / "t")


def test_a_long_text_is_read_from_both_ends() -> None:
    assert chunks_of([]) == [[]]
    assert [len(chunk) for chunk in chunks_of(range(CHUNK_TOKENS + 1))] == [CHUNK_TOKENS, 1]
    assert len(chunks_of(range(CHUNK_TOKENS * CHUNKS_MAX))) == CHUNKS_MAX
    many = chunks_of(range(CHUNK_TOKENS * 20))
    assert [chunk[0] // CHUNK_TOKENS for chunk in many] == [0, 1, 2, 3, 16, 17, 18, 19]


def test_the_curve_is_the_normal_distributions() -> None:
    points = np.linspace(-6, 6, 121, dtype=np.float32)
    exact = [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in points.tolist()]
    assert float(np.abs(gelu(points) - np.array(exact)).max()) < 1e-6


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return load(*minilm())


@pytest.mark.real
def test_vectors_are_those_that_the_model_is_known_for(model: MiniLm) -> None:
    """The first numbers that the model's own page gives for its first example."""
    (vector,) = model.embed(["This is an example sentence"])
    expected = [0.0676569, 0.0634959, 0.0487131, 0.0793050, 0.0374480, 0.0026528, 0.0393749, -0.0070985]
    assert vector[:8] == pytest.approx(expected, abs=2e-6)
    assert float(vector @ vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.real
@pytest.mark.parametrize("pair", PARAPHRASES)
def test_the_same_in_other_words_agrees(model: MiniLm, pair: tuple[str, str]) -> None:
    assert model.compare(pair)[0][1] >= MIN


@pytest.mark.real
@pytest.mark.parametrize("pair", OTHERS)
def test_something_else_does_not(model: MiniLm, pair: tuple[str, str]) -> None:
    assert model.compare(pair)[0][1] < MIN


@pytest.mark.real
def test_what_it_cannot_see_is_known(model: MiniLm) -> None:
    """A single wrong number in a sentence, or one wrong sentence in a long answer, is no difference in meaning to this model."""
    assert model.compare(("The answer is 4.", "The answer is 5."))[0][1] >= MIN
    long = "The town lies on a river and has a market every Monday. " * 60
    assert model.compare((long, long + "Its mayor is a cat."))[0][1] >= MIN


@pytest.mark.real
def test_texts_of_any_length_and_script_have_a_direction(model: MiniLm) -> None:
    texts = ["", "\u4e2d\u6587", "\U0001f44d", "word " * 9_000, "x" * 32_768]
    table = model.compare(texts)
    assert all(row[at] == pytest.approx(1, abs=1e-4) for at, row in enumerate(table))
    assert all(-1.001 <= value <= 1.001 for row in table for value in row)
    assert model.compare([]) == []
