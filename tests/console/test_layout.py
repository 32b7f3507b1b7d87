"""Places: nothing lies on anything else, everything is on the grid, arrows meet their boxes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from tests.console.console_rig import example, picture

from cortops.console.flow import Flow, flow
from cortops.console.layout import GRID, TALL_WIDTH, Layout, PlacedBox, cut, tall, wide
from cortops.console.rows import parts

Place = Callable[[Flow], Layout]


def placed(place: Place, name: str) -> Layout:
    env = example(name)
    seen = picture(env)
    return place(flow(seen.entities, parts(env, seen)))


def overlap(one: PlacedBox, other: PlacedBox) -> bool:
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom


def on_edge(box: PlacedBox, corner: tuple[int, int]) -> bool:
    x, y = corner
    inside = box.x <= x <= box.right and box.y <= y <= box.bottom
    return inside and (x in (box.x, box.right) or y in (box.y, box.bottom))


def inside(box: PlacedBox, corner: tuple[int, int]) -> bool:
    return box.x < corner[0] < box.right and box.y < corner[1] < box.bottom


@pytest.mark.parametrize("place", [wide, tall])
@pytest.mark.parametrize("name", ["local", "small"])
def test_a_drawing_holds_together(place: Place, name: str) -> None:
    found = placed(place, name)
    for number, box in enumerate(found.boxes):
        assert not any(overlap(box, other) for other in found.boxes[number + 1 :]), box.box.key
        assert (box.x % GRID, box.y % GRID, box.width % GRID, box.height % GRID) == (0, 0, 0, 0)
        assert box.right <= found.width and box.bottom <= found.height
        assert all(box.y < row.y < box.bottom for row in box.rows)
    boxes = {box.box.key: box for box in found.boxes}
    for arrow in found.arrows:
        assert on_edge(boxes[arrow.arrow.start], arrow.corners[0]), arrow.arrow
        assert on_edge(boxes[arrow.arrow.end], arrow.corners[-1]), arrow.arrow
        assert all(x == nx or y == ny for (x, y), (nx, ny) in pairwise(arrow.corners))
        middle = [((x + nx) // 2, (y + ny) // 2) for (x, y), (nx, ny) in pairwise(arrow.corners)]
        assert not any(inside(box, point) for box in found.boxes for point in middle), arrow.arrow


def test_wide_fits_a_screen_and_tall_a_phone() -> None:
    assert placed(wide, "local").width <= 1368
    assert placed(tall, "local").width == TALL_WIDTH


@pytest.mark.parametrize("place", [wide, tall])
def test_lines_around_stages_do_not_cross(place: Place) -> None:
    around = [arrow.corners for arrow in placed(place, "local").arrows if len(arrow.corners) == 4]
    assert len(around) == 2
    (one, other) = (list(pairwise(corners)) for corners in around)
    assert not any(_cross(first, second) for first in one for second in other)


def _cross(one: tuple[tuple[int, int], tuple[int, int]], other: tuple[tuple[int, int], tuple[int, int]]) -> bool:
    def spans(segment: tuple[tuple[int, int], tuple[int, int]], axis: int) -> tuple[int, int]:
        return min(segment[0][axis], segment[1][axis]), max(segment[0][axis], segment[1][axis])

    return all(spans(one, axis)[0] <= spans(other, axis)[1] and spans(other, axis)[0] <= spans(one, axis)[1] for axis in (0, 1))


def test_the_head_of_an_arrow_lies_at_its_tip() -> None:
    found = placed(wide, "small")
    assert all(arrow.head.startswith(f"{arrow.corners[-1][0]},{arrow.corners[-1][1]} ") for arrow in found.arrows)


def test_a_long_text_is_cut() -> None:
    assert (cut("session-queue", 8), cut("session", 8), cut("session", 0)) == ("session…", "session", "…")
