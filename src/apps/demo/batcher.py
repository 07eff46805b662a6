"""Many people, one reader: whoever waits is answered together with the others who wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
Result = TypeVar("Result")


class TooMany(Exception):
    """So many are waiting that one more would wait too long."""


class Batcher(Generic[Item, Result]):
    """Hands what waits to `answer`, up to `most_together` at a time, in one thread beside the event loop.

    While one batch is read the next one gathers: alone, a question is answered at once; among many, they share the work.
    answer: items -> results, in their order; what is asked twice is given once   most_waiting: beyond it, `ask` raises TooMany
    """

    def __init__(self, answer: Callable[[Sequence[Item]], Sequence[Result]], most_together: int = 16, most_waiting: int = 200):
        self._answer, self._most_together, self._most_waiting = answer, most_together, most_waiting
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._thread = ThreadPoolExecutor(1, "reader")
        self._work: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Result:
        """The result for `item`, or what `answer` raised for it. Cancelled while it waits, it is never read."""
        if len(self._waiting) >= self._most_waiting:
            raise TooMany
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._work_through())
        try:
            return await future
        except asyncio.CancelledError:
            self._waiting = deque(pair for pair in self._waiting if pair[1] is not future)  # its place is free at once
            raise

    async def _work_through(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most_together, len(self._waiting)))]
            items = list(dict.fromkeys(item for item, _ in batch))
            outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, self._outcomes, items)
            for item, future in batch:
                if future.done():  # whoever asked has left
                    continue
                result, error = outcomes[item]
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

    def _outcomes(self, items: Sequence[Item]) -> dict[Item, tuple[Result | None, Exception | None]]:
        """Item -> (result, None) or (None, error). Where a batch fails, each is tried alone: one person's trouble is not another's."""
        try:
            return {item: (result, None) for item, result in zip(items, self._answer(items), strict=True)}
        except Exception as error:  # whatever it is, the person at the page is told, and the next question is answered
            if len(items) == 1:
                return {items[0]: (None, error)}
            return {item: outcome for one in items for item, outcome in self._outcomes([one]).items()}
