"""The pages: overview, one entity, one task, an error. Each is a template filled with values that are already decided."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cortops.console.board import Board, Moment
from cortops.console.flow import href_of
from cortops.console.layout import tall, wide
from cortops.console.view import TaskLine
from cortops.console.wording import MARKS, NEVER, age, utc
from cortops.contracts.explore import Block, Transaction
from cortops.contracts.path import TaskPath
from cortops.environment.graph import declared_at
from cortops.protocol.site import Static, templates
from cortops.surfaces.states import EntityState
from cortops.surfaces.status_page import STALE_AFTER_ROUNDS
from cortops.words.entity import Entity
from cortops.words.errors import CortopsError
from cortops.words.state import State

ROWS_MAX = 200  # of one table
HERE = Path(__file__).parent


class Pages:
    """Fills the templates; every value is escaped by them."""

    def __init__(self, board: Board, static: Static) -> None:
        self._board = board
        self._templates = templates(HERE / "templates")
        self._templates.globals |= {"static": static.href, "stale_rounds": STALE_AFTER_ROUNDS, "rows_max": ROWS_MAX}
        self._templates.filters |= {
            "mark": MARKS.__getitem__,
            "utc": utc,
            "age": age,
            "href": href_of,
            "brief": brief,
            "known": self._named,
        }

    def overview(self, tasks: tuple[TaskLine, ...] | CortopsError) -> str:
        """The first page."""
        now = self._board.now()
        shown = now.overview
        found = {"tasks": tasks, "tasks_error": ""} if not isinstance(tasks, CortopsError) else {"tasks": (), "tasks_error": tasks.what}
        drawings = {"wide": wide(shown.flow), "tall": tall(shown.flow)}
        return self._filled("overview.html", now, **found, drawings=drawings)

    def entity(self, entity: Entity) -> str | None:
        """One entity with what it rests on; None when there is no such one."""
        now = self._board.now()
        picture = now.overview.picture
        known = {item.entity: item for item in picture.entities}
        item = known.get(entity)
        if item is None:
            return None
        env = self._board.view.environment
        position = declared_at(env, entity)
        return self._filled(
            "entity.html",
            now,
            item=item,
            owner=env.owner_of(entity),
            declared=f"{position.file.rsplit('/', 1)[-1]}:{position.line}",
            evidence=[found for found in picture.evidence if found.id in item.evidence],
            needs=[_known(known, need) for need in item.depends_on],
            needed_by=[other for other in picture.entities if entity in other.depends_on],
        )

    def task(self, path: TaskPath) -> str:
        """The path of one task."""
        now = self._board.now()
        nodes = {row.seen.entity.name: row.seen.entity for row in now.overview.nodes}
        return self._filled("task.html", now, path=path, nodes=nodes)

    def chain(self, blocks: tuple[Block, ...]) -> str:
        """The newest blocks, or those before one."""
        older = blocks[-1].number - 1 if blocks and blocks[-1].number else None
        return self._filled("chain.html", self._board.now(), blocks=blocks, older=older, **self._elsewhere())

    def block(self, block: Block) -> str:
        """One block."""
        return self._filled("block.html", self._board.now(), block=block, **self._elsewhere())

    def transaction(self, one: Transaction) -> str:
        """One transaction."""
        return self._filled("transaction.html", self._board.now(), one=one, **self._elsewhere())

    def _elsewhere(self) -> dict[str, object]:
        network = self._board.view.environment.network
        return {"chain_id": network.chain_id, "explorer": (network.explorer or "").rstrip("/")}

    def _named(self, value: str) -> str:
        """An address by the name of who has it, another long hexadecimal word by its beginning."""
        return self._board.view.names.get(value.lower()) or (brief(value) if value.startswith("0x") else value)

    def error(self, error: CortopsError) -> str:
        """What went wrong, why, and what to do next."""
        return self._filled("error.html", self._board.now(), error=error)

    def _filled(self, template: str, moment: Moment, **values: object) -> str:
        shown, now = moment.overview, self._board.clock.now()
        return self._templates.get_template(template).render(
            shown=shown,
            name=shown.picture.environment,
            at=shown.picture.at,
            now=now,
            age_s=max(now - shown.picture.at, 0.0) if shown.asked else 0.0,
            stale=self._board.is_stale(shown),
            moment=moment.live.id if shown.asked else "",
            **values,
        )


def brief(digest: str) -> str:
    """A hash or an address as people compare it: its first ten letters."""
    return digest if len(digest) <= 12 else digest[:10] + "…" if digest else NEVER


def _known(known: Mapping[Entity, EntityState], entity: Entity) -> EntityState:
    unseen = EntityState(entity=entity, state=State.UNKNOWN, reason="not watched", evidence=(), depends_on=())
    return known.get(entity, unseen)
