"""Limits on how often, and on how many at once, for each voter or address by itself."""

import ipaddress
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class RateLimit:
    """A token bucket for each key: `burst` times at once, then `per_second`."""

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic):
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._buckets: dict[str, tuple[float, float]] = {}  # key -> tokens, and when

    def take(self, key: str) -> bool:
        """Count one more time, unless that is too often; whether it was counted."""
        now = self._clock()
        tokens, then = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._per_second)
        if tokens < 1:
            return False
        self._buckets[key] = (tokens - 1, now)
        return True


class ConcurrencyLimit:
    """How many streams are open at once, for each voter and for each address.

    One more of an address is refused. One more of a voter ends the voter's oldest, which may
    be a connection that broke without a word.
    """

    def __init__(self, per_voter: int, per_address: int):
        self._per_voter, self._per_address = per_voter, per_address
        self._open: list[tuple[str, str, Callable[[], None]]] = []  # the oldest first

    @contextmanager
    def opened(self, voter: str, address: str, end: Callable[[], None]) -> Iterator[bool]:
        """One more while the context lasts, or until `end` is called; gives whether it may."""
        if sum(one[1] == address for one in self._open) >= self._per_address:
            yield False
            return
        own = [one for one in self._open if one[0] == voter]
        if len(own) >= self._per_voter:
            self._open.remove(own[0])
            own[0][2]()
        stream = (voter, address, end)
        self._open.append(stream)
        try:
            yield True
        finally:
            if stream in self._open:  # not where a newer one took its place
                self._open.remove(stream)

    @property
    def voters(self) -> int:
        """How many voters have a stream open."""
        return len({voter for voter, *_ in self._open})


def rate_key(address: str) -> str:
    """What to count an address under.

    Itself; of IPv6 the network, since a device there chooses among all its addresses.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(parsed if parsed.version == 4 else ipaddress.ip_network((parsed, 64), False))


class VoterLimits:
    """How often one phone, and all phones behind one address, may vote and listen.

    `voters_per_address` may vote from one address, then one more every ten seconds; `known`
    have voted before.
    """

    def __init__(self, voters_per_address: int, known: set[str]):
        self._votes_of_voter = RateLimit(10, 1.0)
        self._votes_of_address = RateLimit(4 * voters_per_address, voters_per_address / 2)
        self._new_voters = RateLimit(voters_per_address, 0.1)
        self._known = known
        self.streams = ConcurrencyLimit(4, 2 * voters_per_address)

    def take_vote(self, voter: str, address: str) -> bool:
        """Count one more vote, unless that is too often; whether it was counted."""
        # First, so that invented voters are not remembered.
        if voter not in self._known:
            if not self._new_voters.take(address):
                return False
            self._known.add(voter)
        # Last the address, from which one phone that votes too often then takes nothing.
        return self._votes_of_voter.take(voter) and self._votes_of_address.take(address)
