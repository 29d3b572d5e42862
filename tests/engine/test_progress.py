"""Work is asked to stop apart from telling of its progress."""

from __future__ import annotations

from threading import Thread

import pytest

from engine.progress import Cancellation, Cancelled, check_cancelled


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
