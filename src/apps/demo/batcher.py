"""Many people, one reader: those who wait are answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
Result = TypeVar("Result")


class QueueFull(Exception):
    """One more would wait too long."""


class Batcher(Generic[Item, Result]):
    """Hands what waits to a function, in one thread beside the event loop.

    While one batch is read the next one gathers: alone, a question is answered at once; among
    many, they share the work. What several ask is read once.

    Args:
        answer: items -> results, in their order.
        batch_size: most items at a time.
        queue_size: how many may wait.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Item]], Sequence[Result]],
        batch_size: int = 16,
        queue_size: int = 200,
    ):
        self._answer, self._batch_size, self._queue_size = answer, batch_size, queue_size
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._thread = ThreadPoolExecutor(1, "reader")
        self._work: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Result:
        """The result for `item`. Cancelled while it waits, it is never read.

        Raises:
            QueueFull: too many are waiting.
            Exception: whatever `answer` raised for it.
        """
        if len(self._waiting) >= self._queue_size:
            raise QueueFull
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._work_through())
        try:
            return await future
        except asyncio.CancelledError:
            self._waiting = [one for one in self._waiting if one[1] is not future]
            raise

    async def _work_through(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._waiting[: self._batch_size]
            self._waiting = self._waiting[self._batch_size :]
            items = list(dict.fromkeys(item for item, _ in batch))
            outcomes = await loop.run_in_executor(self._thread, self._outcomes, items)
            for item, future in batch:
                outcome = outcomes[item]
                if future.done():  # whoever asked has left
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _outcomes(self, items: Sequence[Item]) -> dict[Item, Result | Exception]:
        """Results or errors. Where a batch fails, each is tried alone, to spoil no other."""
        try:
            return dict(zip(items, self._answer(items), strict=True))
        except Exception as error:  # the person at the page is told, and the rest are answered
            if len(items) == 1:
                return {items[0]: error}
            return {key: found for item in items for key, found in self._outcomes([item]).items()}
