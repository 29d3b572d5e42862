"""Pictures opened in threads: in order, within a budget, and given up at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread

import pytest
from PIL import Image

from engine.errors import UnreadableImage
from engine.images import Admit, Picture, open_picture
from ingest.decoding import Budget, opened_in_order

SIDE = 16
PICTURE = 4 * SIDE * SIDE


def picture(number: int) -> Picture:
    return Picture(Image.new("RGB", (SIDE, SIDE)), str(number), SIDE, SIDE)


def test_pictures_come_in_order_with_those_that_cannot_be_opened() -> None:
    def open_one(number: int, admit: Admit) -> Picture:
        if number % 3 == 1:
            raise UnreadableImage(f"{number} is bad")
        admit(PICTURE)
        return picture(number)

    found = list(opened_in_order(range(20), open_one, workers=4, ahead=6))
    assert [job for job, _ in found] == list(range(20))
    for job, opened in found:
        assert (opened.sha256 if isinstance(opened, Picture) else "") == (
            "" if job % 3 == 1 else str(job)
        )
        assert isinstance(opened, UnreadableImage) == (job % 3 == 1)


def test_what_has_been_open_for_long_is_taken_before_others_join_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.decoding._AT_ONCE_S", 0)
    begun, taken = Event(), list[int]()

    def open_one(number: int, _: Admit) -> Picture:
        if number == 1:
            begun.set()  # so that the one before it is open
        return picture(number)

    def jobs() -> Iterator[int]:
        yield from (0, 1)
        assert begun.wait(60)
        yield 2
        assert taken[0] == 0
        yield 3

    for job, _ in opened_in_order(jobs(), open_one, workers=1, ahead=40):
        taken.append(job)
    assert taken == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [PICTURE, 3 * PICTURE, 100 * PICTURE])
def test_what_is_decoded_together_stays_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """In work and waiting to be taken; one alone may be larger."""
    limit = 8 * PICTURE
    monkeypatch.setattr("ingest.decoding.BUDGET_BYTES", limit)
    lock, in_work, most = Lock(), 0, 0

    def open_one(number: int, admit: Admit) -> Picture:
        nonlocal in_work, most
        admit(size)
        with lock:
            in_work += size
            most = max(most, in_work)
        opened = picture(number)
        with lock:
            in_work -= size
        return opened

    assert len(list(opened_in_order(range(60), open_one, workers=8, ahead=40))) == 60
    assert most <= max(limit, size)


def test_what_waits_to_be_taken_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.decoding.BUDGET_BYTES", 4 * PICTURE)
    admitted, full = count(), Event()

    def open_one(number: int, admit: Admit) -> Picture:
        if number == 4:
            full.set()
        admit(PICTURE)
        next(admitted)
        return picture(number)

    found = opened_in_order(range(40), open_one, workers=4, ahead=40)
    first = Thread(target=next, args=(found,))
    first.start()
    first.join()
    full.wait()
    assert next(admitted) <= 5, "four, and one in place of that which was taken"
    assert len(list(found)) == 39


def test_an_earlier_picture_never_waits_for_a_later_one() -> None:
    budget, second = Budget(10), Event()

    def later() -> None:
        budget.take(1, 8)
        second.set()

    thread = Thread(target=later)
    thread.start()
    assert not second.is_set()
    budget.take(0, 8)
    budget.settle(0, 4)
    assert not second.is_set()
    budget.settle(0, 0)
    thread.join()
    assert second.is_set()


def test_a_closed_budget_sends_away_who_waits() -> None:
    budget = Budget(10)
    budget.take(0, 10)
    refused = Event()

    def wait() -> None:
        try:
            budget.take(1, 1)
        except CancelledError:
            refused.set()

    thread = Thread(target=wait)
    thread.start()
    budget.close()
    thread.join()
    assert refused.is_set()


def test_threads_end_when_the_taker_goes() -> None:
    found = opened_in_order(count(), lambda n, _: picture(n), workers=3, ahead=5)
    next(found)
    found.close()
    for thread in threading.enumerate():
        if thread.name.startswith("decode-"):
            thread.join()


def test_an_error_of_our_own_is_raised_where_the_picture_is_taken() -> None:
    def broken(_: int, admit: Admit) -> Picture:
        admit(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(opened_in_order(range(3), broken, workers=2, ahead=2))


HANGS = """
import sys, threading
from ingest.decoding import opened_in_order
def hang(job, admit):
    print("hanging", flush=True)
    threading.Event().wait()
try:
    list(opened_in_order(range(9), hang, workers=2, ahead=4))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_one_interrupt_ends_the_process_while_a_disk_hangs() -> None:
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=20) == 130
        finally:
            process.kill()


def test_room_is_asked_for_before_a_pixel_is_decoded(tmp_path: Path) -> None:
    """By what the header says: a bomb of a picture is known before it goes off."""
    path = tmp_path / "plain.png"
    Image.new("RGB", (300, 200)).save(path)
    asked: list[int] = []

    def stop(size: int) -> None:
        asked.append(size)
        raise UnreadableImage("no room")

    with pytest.raises(UnreadableImage, match="no room"):
        open_picture(path, admit=stop)
    assert asked == [8 * 300 * 200 + path.stat().st_size]


SIXTEEN = """
import sys, resource
from pathlib import Path
sys.path.insert(0, {tests!r})
from corpus.records import ImageRecord
from engine.collection import CollectionFolder
from ingest.embed import EmbedOptions, embed
from tests.worlds import PixelEncoder
paths = sorted(Path(sys.argv[1]).glob("*.png"))
records = [ImageRecord(path.name, str(path), path) for path in paths]
folder = CollectionFolder(Path(sys.argv[1]), "large")
report = embed(records, PixelEncoder(), folder, EmbedOptions(workers=8))
assert report.embedded == len(paths) == 16, report
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units")
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_sixteen_large_pictures_take_less_than_three_gigabytes(tmp_path: Path, mode: str) -> None:
    for number in range(16):
        colour = (number, 90, 30, 200)[: len(mode)]
        picture = Image.new(mode, (9_900, 10_000), colour)
        picture.save(tmp_path / f"{number}.png", compress_level=1)
    repository = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", SIXTEEN.format(tests=repository), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=repository,
    )
    print(done.stdout)
    assert int(done.stdout) * 1024 < 3e9
