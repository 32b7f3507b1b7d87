"""The explorer: blocks, transactions and what our modules said in them. It reads, and shows nobody's text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from cortops.console.board import Board
from cortops.console.pages import Pages
from cortops.words.errors import ChainUnreachable, CortopsError, UnknownName

WAIT_S = 3.0
_NUMBER = re.compile(r"[0-9]{1,18}")
_TX = re.compile(r"0x[0-9a-f]{64}")

T = TypeVar("T")


class Explorer:
    """Its pages below /chain. refuse: an error as a page."""

    def __init__(self, board: Board, pages: Pages, refuse: Callable[[int, CortopsError], Response]) -> None:
        self._board = board
        self._pages = pages
        self._refuse = refuse

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/chain", self.chain),
            Route("/chain/blocks/{number}", self.block),
            Route("/chain/transactions/{tx}", self.transaction),
        )

    async def chain(self, request: Request) -> Response:
        """`?upto=NUMBER`: the blocks up to that one."""
        upto = request.query_params.get("upto", "")
        if upto and not _NUMBER.fullmatch(upto):
            return self._refuse(404, UnknownName("a block is named by its number"))
        return await self._shown(self._board.view.blocks(int(upto) if upto else None), self._pages.chain)

    async def block(self, request: Request) -> Response:
        number = request.path_params["number"]
        if not _NUMBER.fullmatch(number):
            return self._refuse(404, UnknownName("a block is named by its number"))
        return await self._shown(self._board.view.block(int(number)), self._pages.block)

    async def transaction(self, request: Request) -> Response:
        tx = request.path_params["tx"].lower()
        if not _TX.fullmatch(tx):
            return self._refuse(404, UnknownName("a transaction is named by its hash, 0x and 64 hexadecimal digits"))
        return await self._shown(self._board.view.transaction(tx), self._pages.transaction)

    async def _shown(self, asked: Awaitable[T | CortopsError], page: Callable[[T], str]) -> Response:
        try:
            async with asyncio.timeout(WAIT_S):
                found = await asked
        except TimeoutError:
            return self._refuse(502, ChainUnreachable(f"the chain did not answer within {WAIT_S:g} s"))
        if isinstance(found, CortopsError):
            return self._refuse(404 if isinstance(found, UnknownName) else 502, found)
        return HTMLResponse(page(found))
