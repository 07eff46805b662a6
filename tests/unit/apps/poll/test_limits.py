"""Limits let through what they should, and never more, for each key by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.apps.poll import limits
from src.apps.poll.limits import AtOnce, Newest, Rate, TooMuch, network_of


class Clock:
    """Stands where it is put."""

    now = 100.0

    def __call__(self):
        return self.now


def allowed(rate, key="a"):
    try:
        rate.take(key)
    except TooMuch:
        return False
    return True


@given(st.lists(st.floats(0, 3), max_size=80), st.integers(1, 5), st.sampled_from([0.1, 1.0, 4.0]))
def test_in_no_stretch_of_time_is_more_allowed_than_the_burst_and_what_time_gives_back(waits, burst, per_second):
    clock = Clock()
    rate = Rate(burst, per_second, clock)
    times = []
    for wait in waits:
        clock.now += wait
        if allowed(rate):
            times.append(clock.now)
        else:  # and it is refused only where one more would be too many
            recent = [sum(start <= time for time in times) + 1 - burst - per_second * (clock.now - start) for start in times]
            assert max(recent) > -1e-6
    for i, start in enumerate(times):
        for j in range(i, len(times)):
            assert j - i + 1 <= burst + per_second * (times[j] - start) + 1e-6


def test_keys_do_not_take_from_each_other():
    rate = Rate(2, 1.0, Clock())
    assert [allowed(rate, key) for key in "aaabbb"] == [True, True, False, True, True, False]


def test_a_flood_of_keys_does_not_fill_the_memory_nor_free_those_that_had_enough(monkeypatch):
    monkeypatch.setattr(limits, "MOST_KEYS", 5)
    clock = Clock()
    rate = Rate(2, 1.0, clock)
    assert allowed(rate, "a") and allowed(rate, "a")
    assert [allowed(rate, i) for i in range(20)] == [True] * 4 + [False] * 16
    assert not allowed(rate, "a")
    clock.now += 1.5  # the others may do all again, and can be forgotten
    assert all(allowed(rate, i) for i in range(10, 14)) and len(rate._left) <= 5
    assert allowed(rate, "a") and not allowed(rate, "a")


def test_so_many_at_once_and_a_place_is_free_again_also_after_trouble():
    places = AtOnce(2)
    with places.one("a"), places.one("b"):
        with places.one("a"):
            with pytest.raises(TooMuch), places.one("a"):
                raise AssertionError("a third one")
            assert len(places) == 2
        with pytest.raises(RuntimeError), places.one("a"):
            raise RuntimeError
        with places.one("a"):
            pass
    assert len(places) == 0


def test_one_more_than_the_newest_so_many_ends_the_oldest_of_its_key_only():
    ended, newest, entered = [], Newest(2), {}

    def enter(key, name):
        entered[name] = newest.one(key, lambda: ended.append(name))
        entered[name].__enter__()

    def leave(name):
        entered.pop(name).__exit__(None, None, None)

    for key, name in (("a", "first"), ("b", "other"), ("a", "second"), ("a", "third"), ("a", "fourth")):
        enter(key, name)
    assert ended == ["first", "second"] and len(newest) == 2
    leave("third")
    enter("a", "fifth")
    assert ended == ["first", "second"], "who has left makes room"
    for name in ("fourth", "fifth", "other"):
        leave(name)
    assert len(newest) == 0
    enter("a", "sixth")
    leave("first")  # ended long ago, and late to leave: nothing of the newer ones goes with it
    assert len(newest) == 1
    with pytest.raises(RuntimeError), newest.one("c", list):
        assert len(newest) == 2
        raise RuntimeError
    assert len(newest) == 1


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_addresses_of_one_household_are_one(address, counted):
    assert network_of(address) == counted
