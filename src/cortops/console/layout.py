"""Places for the boxes and arrows of a flow: left to right for wide screens, top down for narrow ones. Pure; lengths in CSS pixels.

Everything lies on a grid of 4. Widths come from the number of letters, since nobody here can measure a font; what may not fit is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cortops.console.flow import Arrow, Box, Flow, Line

GRID = 4
LETTER = 6.6  # width of an average letter at 12 px, with some to spare
TITLE_LETTER = 8.6  # of the bold ones at 13 px
TEXT_CHARS_MAX = 26
TALL_WIDTH = 356  # a phone of 390 without its margins

_PAD, _MARK, _GAP, _LANE = 8, 16, 24, 12
_TITLE, _SUMMARY, _ROW = 20, 16, 16
_TITLE_Y = 16  # where arrows meet a box: the middle of its title
_BOX_MIN, _CLIENT_MIN, _SIDE_GAP = 104, 80, 24

Corners = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of text in a box. kind: title, summary, group, line or more. y: its base line."""

    kind: str
    text: str
    y: int
    line: Line | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBox:
    """A box with its rectangle and its rows."""

    box: Box
    x: int
    y: int
    width: int
    height: int
    rows: tuple[Row, ...]

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedArrow:
    """An arrow as the corners of its line, the last being its tip; `points` and `head` are what SVG wants."""

    arrow: Arrow
    corners: Corners

    @property
    def points(self) -> str:
        """The line, `x,y x,y`."""
        return " ".join(f"{x},{y}" for x, y in self.corners)

    @property
    def head(self) -> str:
        """The triangle at the tip, `x,y x,y x,y`."""
        (fx, fy), (x, y) = self.corners[-2:]
        if fx == x:
            back = y - 6 if y > fy else y + 6
            return f"{x},{y} {x - 4},{back} {x + 4},{back}"
        back = x - 6 if x > fx else x + 6
        return f"{x},{y} {back},{y - 4} {back},{y + 4}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A drawing of this size."""

    width: int
    height: int
    boxes: tuple[PlacedBox, ...]
    arrows: tuple[PlacedArrow, ...]


Straight = Callable[[PlacedBox, PlacedBox], Corners]
Around = Callable[[PlacedBox, PlacedBox, int, int], Corners]  # (start, end, place of the lane, how far from the start's corner it leaves)


def wide(shown: Flow) -> Layout:
    """Stages from left to right, what stands beside a stage below it, lines that skip stages above all."""
    skips = _skips(shown)
    top = _LANE * (len(skips) + 1) if skips else GRID
    boxes: dict[str, PlacedBox] = {}
    x = GRID
    for main, side in shown.stages:
        width = max(_width(box) for box in (main, side) if box is not None)
        y = top
        for box in (main, side):
            if box is not None:
                boxes[box.key] = _placed(box, x, y, width)
                y = boxes[box.key].bottom + _SIDE_GAP
        x += width + _GAP
    _reach(boxes, along_y=True)
    arrows = _drawn(shown, boxes, skips, _wide_straight, _wide_around)
    bottom = max(box.bottom for box in boxes.values())
    return Layout(width=x - _GAP + GRID, height=bottom + GRID, boxes=tuple(boxes.values()), arrows=arrows)


def tall(shown: Flow) -> Layout:
    """Stages from top to bottom, what stands beside a stage to its right, lines that skip stages to the left of all."""
    skips = _skips(shown)
    left = _LANE * (len(skips) + 1) if skips else GRID
    half = (TALL_WIDTH - left - _SIDE_GAP) // 2 // GRID * GRID
    boxes: dict[str, PlacedBox] = {}
    y = GRID
    for main, side in shown.stages:
        row = []
        if main is not None:
            row.append(_placed(main, left, y, half if side is not None else min(_width(main), TALL_WIDTH - left - GRID)))
        if side is not None:
            row.append(_placed(side, left + half + _SIDE_GAP, y, half))
        boxes |= {placed.box.key: placed for placed in row}
        y = max(placed.bottom for placed in row) + _GAP
    _reach(boxes, along_y=False)
    arrows = _drawn(shown, boxes, skips, _tall_straight, _tall_around)
    return Layout(width=TALL_WIDTH, height=y - _GAP + GRID, boxes=tuple(boxes.values()), arrows=arrows)


def cut(text: str, chars: int) -> str:
    """At most so many letters, the last one `…` where some are missing."""
    return text if len(text) <= chars else text[: max(chars - 1, 0)] + "…"


def _skips(shown: Flow) -> list[Arrow]:
    """The arrows that pass by a stage, the longest first: it gets the outermost lane and leaves its box first, so none cross."""
    stage = {box.key: number for number, boxes in enumerate(shown.stages) for box in boxes if box is not None}
    spans = {arrow: stage[arrow.end] - stage[arrow.start] for arrow in shown.arrows}
    return sorted((arrow for arrow, span in spans.items() if span > 1), key=lambda arrow: -spans[arrow])


def _snap(length: float) -> int:
    return int(-(-length // GRID) * GRID)


def _texts(box: Box) -> Iterator[str]:
    for group in box.groups:
        yield group.title
        yield from (line.text for line in group.lines)


def _width(box: Box) -> int:
    longest = max((min(len(text), TEXT_CHARS_MAX) for text in _texts(box)), default=0) * LETTER + _MARK
    least = _CLIENT_MIN if box.state is None else _BOX_MIN
    return max(least, _snap(max(longest, len(box.title) * TITLE_LETTER) + 2 * _PAD))


def _placed(box: Box, x: int, y: int, width: int) -> PlacedBox:
    chars = int((width - 2 * _PAD - (0 if box.state is None else _MARK)) / LETTER)
    rows = [Row(kind="title", text=box.title, y=y + _TITLE)]
    base = y + _TITLE
    if box.state is not None:
        base += _SUMMARY
        rows.append(Row(kind="summary", text=box.summary, y=base))
    for group in box.groups:
        if group.title:
            base += _ROW + GRID
            rows.append(Row(kind="group", text=group.title, y=base))
        for line in group.lines:
            base += _ROW
            rows.append(Row(kind="line", text=cut(line.text, chars), y=base, line=line))
        if group.more:
            base += _ROW
            rows.append(Row(kind="more", text=f"+ {group.more} more", y=base))
    return PlacedBox(box=box, x=x, y=y, width=width, height=_snap(base - y + _PAD), rows=tuple(rows))


def _reach(boxes: dict[str, PlacedBox], *, along_y: bool) -> None:
    """The chain's box is long enough to stand beside its followers, so that their arrow is straight."""
    chain, followers = boxes.get("chain"), boxes.get("followers")
    if chain is None or followers is None:
        return
    needed = followers.y + 2 * _TITLE_Y - chain.y if along_y else followers.x + 2 * _TITLE_Y - chain.x
    height, width = (max(chain.height, needed), chain.width) if along_y else (chain.height, max(chain.width, needed))
    boxes["chain"] = PlacedBox(box=chain.box, x=chain.x, y=chain.y, width=_snap(width), height=_snap(height), rows=chain.rows)


def _drawn(
    shown: Flow, boxes: Mapping[str, PlacedBox], skips: Sequence[Arrow], straight: Straight, around: Around
) -> tuple[PlacedArrow, ...]:
    found = []
    for arrow in shown.arrows:
        start, end = boxes[arrow.start], boxes[arrow.end]
        if arrow in skips:
            number = skips.index(arrow)
            found.append(PlacedArrow(arrow=arrow, corners=around(start, end, _LANE * (number + 1), _LANE * (len(skips) - number))))
        else:
            found.append(PlacedArrow(arrow=arrow, corners=straight(start, end)))
    return tuple(found)


def _wide_straight(start: PlacedBox, end: PlacedBox) -> Corners:
    if start.x == end.x:
        return ((start.x + _TITLE_Y, start.bottom), (start.x + _TITLE_Y, end.y))
    return ((start.right, end.y + _TITLE_Y), (end.x, end.y + _TITLE_Y))


def _wide_around(start: PlacedBox, end: PlacedBox, lane: int, inset: int) -> Corners:
    out, into = start.right - 2 * inset, end.x + _TITLE_Y
    return ((out, start.y), (out, lane), (into, lane), (into, end.y))


def _tall_straight(start: PlacedBox, end: PlacedBox) -> Corners:
    if start.y == end.y:
        return ((start.right, start.y + _TITLE_Y), (end.x, start.y + _TITLE_Y))
    return ((end.x + _TITLE_Y, start.bottom), (end.x + _TITLE_Y, end.y))


def _tall_around(start: PlacedBox, end: PlacedBox, lane: int, inset: int) -> Corners:
    out, into = start.bottom - inset, end.y + _TITLE_Y
    return ((start.x, out), (lane, out), (lane, into), (end.x, into))
