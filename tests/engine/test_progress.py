"""Work tells of its progress, and is asked to stop apart from that."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from engine.progress import (
    Cancellation,
    Cancelled,
    Progress,
    check_cancelled,
    tell,
    ticking,
    told_to,
)


def test_work_that_nobody_watches_goes_on() -> None:
    stop = Cancellation()
    stop.ask()
    check_cancelled()


def test_work_ends_at_the_next_step_after_it_was_asked() -> None:
    stop, steps = Cancellation(), list[int]()

    def work() -> None:
        for step in range(5):
            check_cancelled()
            steps.append(step)
            if step == 2:
                asking = Thread(target=stop.ask)
                asking.start()
                asking.join()

    with pytest.raises(Cancelled), stop.watched():
        work()
    assert steps == [0, 1, 2]
    check_cancelled()


def test_the_innermost_is_heeded_and_the_outer_one_again_afterwards() -> None:
    outer, inner = Cancellation(), Cancellation()
    outer.ask()
    with outer.watched():
        with inner.watched():
            check_cancelled()
        with pytest.raises(Cancelled):
            check_cancelled()


def test_the_innermost_listener_hears_what_is_told_deep_inside() -> None:
    outer, inner = list[Progress](), list[Progress]()
    one, two = Progress("one", 1), Progress("two", 2)
    with told_to(outer.append):
        with told_to(inner.append):
            tell(one)
        tell(two)
    tell(one)
    assert (inner, outer) == ([one], [two])


def test_a_long_step_is_told_of_while_it_takes_and_a_short_one_is_not() -> None:
    told, heard = list[Progress](), Event()

    def listen(step: Progress) -> None:
        told.append(step)
        heard.set()

    with told_to(listen):
        with ticking("short"):
            pass
        assert not told
        with ticking("long"):
            assert heard.wait(20)
    assert told[0].total is None
    assert told[-1].done == told[-1].total


def test_an_amount_is_told_in_words() -> None:
    assert Progress("embed", 1200).amount == "1,200"
    assert Progress("embed", 3, 4000).amount == "3 of 4,000"
    fetch = Progress("fetch", 350_000_000, 605_000_000, "bytes", 40)
    assert fetch.amount == "350 MB of 605 MB, 40 s left"
    assert Progress("embed", 1, 0).share == 0
