from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortops.programs.validator.wordpiece import WordPiece, read
from cortops.testing.embedding import minilm
from cortops.words.errors import BadInput

PIECES = ["[UNK]", "[CLS]", "[SEP]", "sky", "blue", "un", "##aff", "##able", "##a", ".", "'", "a", "\u4e2d"]
SMALL = WordPiece({piece: number for number, piece in enumerate(PIECES)})

# As the reference implementation gives them (tokenizers 0.23.3).
REFERENCE = [
    ("The sky is blue.", [1996, 3712, 2003, 2630, 1012]),
    (
        "unaffable \xdcbergr\xf6\xdfentr\xe4ger, d\xe9j\xe0-vu!",
        [14477, 20961, 3468, 19169, 16523, 2080, 17499, 3372, 24449, 2099, 1010, 2139, 3900, 1011, 24728, 999],
    ),
    (
        "don't 3.14 e=mc\xb2 (x_1) #42",
        [2123, 1005, 1056, 1017, 1012, 2403, 1041, 1027, 11338, 10701, 1006, 1060, 1035, 1015, 1007, 1001, 4413],
    ),
    (
        "\u03a3\u039f\u03a6\u039f\u03a3 \u043f\u0440\u0438\u0432\u0435\u0442",
        [1173, 29730, 29736, 29730, 29733, 1194, 16856, 10325, 25529, 15290, 22919],
    ),
    (
        "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059\u3002 \u4e2d\u6587abc",
        [1879, 1755, 1672, 1864, 1876, 1671, 100, 1961, 1665, 30184, 1636, 1746, 1861, 5925],
    ),
    (
        "\ud55c\uad6d\uc5b4 \u0928\u092e\u0938\u094d\u0924\u0947",
        [1469, 30006, 30021, 29991, 30014, 30020, 29999, 30008, 1327, 29867, 29874, 29859],
    ),
    ("a\tb\r\nc\xa0d\u200be\x00f\ufffdg", [1037, 1038, 1039, 13366, 2290]),
    ("\U0001f44d\U0001f3fd ok", [100, 7929]),
    ("x" * 101, [100]),
    ("qqqqzzzz\u0378", [100]),
    ("", []),
    (" \n ", []),
]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Sky, BLUE.", ["sky", "[UNK]", "blue", "."]),
        ("unaffable", ["un", "##aff", "##able"]),
        ("unaffx", ["[UNK]"]),
        ("sky's", ["sky", "'", "[UNK]"]),
        ("\u4e2d\u4e2dsky", ["\u4e2d", "\u4e2d", "sky"]),
        ("\u00e0", ["a"]),
        ("s\u200bk\x00y", ["sky"]),
        ("a" * 100, ["a", *["##a"] * 99]),
        ("a" * 101, ["[UNK]"]),
        ("", []),
    ],
)
def test_pieces(text: str, pieces: list[str]) -> None:
    assert [PIECES[number] for number in SMALL.numbers(text)] == pieces


def test_a_mark_inside_a_text_is_text() -> None:
    assert SMALL.cls not in SMALL.numbers("[CLS]") and SMALL.sep not in SMALL.numbers("sky [SEP] blue")


@given(st.text())
def test_any_text_has_numbers(text: str) -> None:
    assert set(SMALL.numbers(text)) <= set(range(len(PIECES)))


def tokenizer(**changes: object) -> dict[str, object]:
    model = {"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "sky": 3}}
    return {"model": model, "normalizer": {"type": "BertNormalizer", "lowercase": True}, **changes}


def test_a_tokenizer_file_is_read() -> None:
    found = read(msgspec.json.encode(tokenizer()))
    assert (found.numbers("sky"), found.cls, found.sep) == ([3], 1, 2)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({}, "not a tokenizer.json"),
        ([], "not a tokenizer.json"),
        (tokenizer(model={"type": "BPE", "continuing_subword_prefix": "", "vocab": {}}), "kind .*BPE"),
        (tokenizer(model={"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": {"a": "b"}}), "not a tokenizer.json"),
        (tokenizer(model={"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": {"[UNK]": 1}}), r"no \[CLS\], \[SEP\]"),
        (tokenizer(normalizer={"type": "BertNormalizer", "lowercase": False}), "uncased"),
        (tokenizer(normalizer=None), "not a tokenizer.json"),
    ],
)
def test_another_file_is_refused(content: object, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        read(msgspec.json.encode(content))


@pytest.mark.real
def test_numbers_are_those_of_the_reference() -> None:
    words = read(minilm()[1].read_bytes())
    assert [(text, words.numbers(text)) for text, _ in REFERENCE] == REFERENCE
    assert (words.cls, words.sep) == (101, 102)
