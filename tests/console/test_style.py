"""The style sheet: enough contrast in both themes (WCAG 2.2 AA), lengths on the grid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).resolve().parents[2] / "src" / "cortops" / "console" / "static" / "console.css").read_text()
TOKENS = [dict(re.findall(r"--([\w]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)]


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_both_themes_have_the_same_tokens() -> None:
    light, dark = TOKENS
    assert set(light) == set(dark)


@pytest.mark.parametrize("tokens", TOKENS, ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "quiet", "accent", "ok", "degraded", "down", "unknown", "maintenance"])
def test_every_colour_can_be_read(tokens: dict[str, str], name: str) -> None:
    assert contrast(tokens[name], tokens["ground"]) >= 4.5
    assert contrast(tokens[name], tokens["raised"]) >= 4.5


def test_spaces_lie_on_the_grid() -> None:
    lengths = re.findall(r"(?:margin|padding|gap)[\w-]*: ([^;]+);", CSS)
    values = [int(value) for text in lengths for value in re.findall(r"(\d+)px", text)]
    assert values and [value for value in values if value % 4] == []


def test_nothing_moves_for_who_wants_no_motion() -> None:
    outside = re.sub(r"@media \(prefers-reduced-motion: no-preference\) \{.*?\n\}", "", CSS, flags=re.DOTALL)
    assert "animation" not in outside and "transition" not in outside
