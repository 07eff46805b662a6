"""Ways to have too much of something: too often, and too many at once."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

MOST_KEYS = 10_000  # of one limit, remembered at a time: a flood of new ones must not fill the memory


class TooMuch(Exception):
    """A limit is reached."""


class Rate:
    """How often, for each key by itself: `burst` times at once, and after that as often as `per_second` gives back."""

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic):
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._left: dict[Hashable, tuple[float, float]] = {}  # key -> how often it may still, at which time

    def take(self, key: Hashable) -> None:
        """Count one more time. Raises TooMuch, and does not count, where that would be too often."""
        now = self._clock()
        left = self._now(self._left.get(key, (self._burst, now)), now)
        if left < 1 or (key not in self._left and len(self._left) >= MOST_KEYS and not self._forget(now)):
            raise TooMuch
        self._left[key] = (left - 1, now)

    def _now(self, entry: tuple[float, float], now: float) -> float:
        left, then = entry
        return min(self._burst, left + (now - then) * self._per_second)

    def _forget(self, now: float) -> bool:
        """Forget the keys that may do all again, as if they had never come; whether there were any."""
        before = len(self._left)
        self._left = {key: entry for key, entry in self._left.items() if self._now(entry, now) < self._burst}
        return len(self._left) < before


class AtOnce:
    """How many at once, for each key by itself."""

    def __init__(self, most: int):
        self._most = most
        self._there: Counter[Hashable] = Counter()

    @contextmanager
    def one(self, key: Hashable) -> Iterator[None]:
        """One more while the context lasts. Raises TooMuch where there are `most` already."""
        if self._there[key] >= self._most:
            raise TooMuch
        self._there[key] += 1
        try:
            yield
        finally:
            self._there[key] -= 1
            if not self._there[key]:
                del self._there[key]

    def __len__(self) -> int:
        """Of how many keys there is one at least."""
        return len(self._there)


class Newest:
    """The newest so many, for each key by itself: one more ends the oldest.

    Where AtOnce would refuse: the oldest may be a connection that broke without a word, and the newest is what somebody looks at.
    """

    def __init__(self, most: int):
        self._most = most
        self._there: dict[Hashable, list[Callable[[], None]]] = {}  # key -> what ends each of them, the oldest first

    @contextmanager
    def one(self, key: Hashable, end: Callable[[], None]) -> Iterator[None]:
        """One more while the context lasts. Where there are `most` already, the oldest's `end` is called, and it counts no longer."""
        there = self._there.setdefault(key, [])
        there.append(end)
        if len(there) > self._most:
            there.pop(0)()
        try:
            yield
        finally:
            there = self._there.get(key, [])  # not always the list from above: the last one that leaves takes it away
            if end in there:
                there.remove(end)
                if not there:
                    del self._there[key]

    def __len__(self) -> int:
        """Of how many keys there is one at least."""
        return len(self._there)


def network_of(address: str) -> str:
    """What to count an address under: itself, but of IPv6 the network, since every device there has a whole one to choose from."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 64), strict=False))
        return str(found.ipv4_mapped)
    return address
