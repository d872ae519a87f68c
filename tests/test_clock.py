"""Stopwatches: every second is charged once, to the work that was running."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nstbench.run.clock import Clocks


class Time:
    """A clock that moves only when told to."""

    def __init__(self, at=0.0):
        self.at = at

    def __call__(self):
        return self.at


def test_seconds_go_to_the_stopwatch_that_ran_and_the_rest_is_the_complement():
    time = Time(100)
    clocks = Clocks(time)
    time.at += 1
    with clocks.measure("optimise"):
        time.at += 2
    with clocks.measure("io"):
        time.at += 4
    assert clocks.seconds == {"optimise": 2, "io": 4, "total": 7}
    assert clocks.rest == 1


def test_an_inner_stopwatch_pauses_the_outer_one():
    time = Time()
    clocks = Clocks(time)
    with clocks.measure("optimise"):
        time.at += 1
        with clocks.measure("io"):
            time.at += 10
        time.at += 1
    assert clocks.seconds == {"optimise": 2, "io": 10, "total": 12}


def test_the_device_is_waited_for_before_every_reading_inside_the_clock():
    time, pending = Time(), []

    def synchronise():
        time.at += sum(pending)
        pending.clear()

    clocks = Clocks(time, synchronise)
    pending.append(5)  # started before the region: not its seconds
    with clocks.measure("optimise"):
        pending.append(3)  # still running when the block ends
    assert clocks.seconds == {"optimise": 3, "total": 8}


def test_an_error_inside_still_charges_the_seconds():
    time = Time()
    clocks = Clocks(time)
    with pytest.raises(KeyboardInterrupt), clocks.measure("optimise"):
        time.at += 2
        raise KeyboardInterrupt
    with clocks.measure("io"):
        time.at += 1
    assert clocks.seconds == {"optimise": 2, "io": 1, "total": 3}


def test_a_later_session_goes_on_from_the_earlier_ones():
    time = Time()
    first = Clocks(time, age=1)
    with first.measure("optimise"):
        time.at += 2
    second = Clocks(time, already=first.seconds, age=0.5)
    with second.measure("optimise"):
        time.at += 3
    assert second.seconds == {"import": 1.5, "optimise": 5, "total": 6.5}
    assert second.rest == 0


@given(st.recursive(st.integers(1, 9), lambda inner: st.lists(inner, max_size=4)))
def test_stopwatches_and_rest_add_up_to_the_total(tree):
    time = Time()
    clocks = Clocks(time)

    def live(node, depth=0):
        if isinstance(node, int):
            time.at += node
            return
        with clocks.measure(f"depth {depth % 3}"):
            for child in node:
                live(child, depth + 1)

    live(tree)
    seconds = clocks.seconds
    assert sum(seconds.values()) - seconds["total"] + clocks.rest == seconds["total"]
    assert all(value >= 0 for value in seconds.values())
