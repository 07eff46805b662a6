"""Limits let through what they should, and never more, for each key by itself."""

import secrets

from hypothesis import given
from hypothesis import strategies as st

from src.apps.poll.limits import ConcurrencyLimit, RateLimit, VoterLimits, rate_key


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@given(st.lists(st.floats(0, 3), max_size=80), st.integers(1, 5), st.sampled_from([0.1, 1.0, 4.0]))
def test_no_stretch_of_time_has_more_than_the_burst_and_what_time_gives_back(
    waits, burst, per_second
):
    """Whatever another key does."""
    clock = Clock()
    rate = RateLimit(burst, per_second, clock)
    times: list[float] = []

    def room_since(start: float, until: float) -> float:
        """How many more may follow those from `start` on."""
        return burst + per_second * (until - start) - sum(time >= start for time in times)

    for wait in waits:
        clock.now += wait
        rate.take("b")
        if rate.take("a"):
            times.append(clock.now)
            assert min(room_since(start, clock.now) for start in times) > -1e-6
        else:
            assert min(room_since(start, clock.now) for start in times) < 1 + 1e-6


def test_invented_voters_are_stopped_and_not_remembered():
    limits = VoterLimits(5, {"ann"})
    invented = [secrets.token_hex(4) for _ in range(50)]
    assert [limits.take_vote(voter, "here") for voter in invented] == [True] * 5 + [False] * 45
    assert limits.take_vote("ann", "here") and limits.take_vote(invented[0], "here")
    assert limits.take_vote("cid", "elsewhere")
    assert len(limits._votes_of_voter._buckets) == len(limits._known) == 7


def test_one_more_stream_of_a_voter_ends_the_oldest_of_theirs_only():
    ended: list[str] = []
    entered = {}
    limit = ConcurrencyLimit(2, 9)

    def enter(voter, name):
        entered[name] = limit.opened(voter, "here", lambda: ended.append(name))
        assert entered[name].__enter__()

    def leave(name):
        entered.pop(name).__exit__(None, None, None)

    for voter, name in (("ann", "1"), ("bob", "other"), ("ann", "2"), ("ann", "3"), ("ann", "4")):
        enter(voter, name)
    assert ended == ["1", "2"] and limit.voters == 2
    leave("3")
    enter("ann", "5")
    assert ended == ["1", "2"], "who has left makes room"
    for name in ("4", "5", "other"):
        leave(name)
    assert limit.voters == 0
    enter("ann", "6")
    leave("1")  # ended long ago, and late to leave: the newer one stays
    assert limit.voters == 1


def test_addresses_of_one_household_are_one():
    for address in ("192.168.1.7", "::ffff:192.168.1.7"):
        assert rate_key(address) == "192.168.1.7"
    assert rate_key("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert rate_key("fe80::1%eth0") == "fe80::/64" and rate_key("") == ""
