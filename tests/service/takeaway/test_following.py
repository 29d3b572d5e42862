"""Going on with pictures that come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest
from PIL import Image

from engine.progress import Cancellation, Cancelled
from service.takeaway.describing import Takeaway
from service.takeaway.embedding import InFiles
from service.takeaway.following import follow
from service.takeaway.outputs import Output
from service.takeaway.pictures import pictures_of
from service.takeaway.sidecars import TextSidecars, XmpSidecars
from tests.service.takeaway.conftest import FakeAnswers

Photos = Callable[..., list[Path]]


def add(path: Path) -> None:
    """A picture that comes in one step."""
    partial = path.with_name(f".{path.name}.part")
    Image.new("RGB", (5, 5)).save(partial, "JPEG")
    partial.rename(path)


@pytest.mark.parametrize("poll", [None, 0.02], ids=["told", "polled"])
@pytest.mark.parametrize(
    "outputs",
    [[], [XmpSidecars("skip"), TextSidecars("overwrite")], [InFiles("append")]],
    ids=["shown", "beside", "inside"],
)
def test_pictures_are_described_as_they_come_and_each_once(
    poll: float | None, outputs: list[Output], answers: FakeAnswers, photos: Photos
) -> None:
    first, inside = photos("a.jpg", "sub/b.jpg")
    folder = first.parent
    told: Queue[str] = Queue()
    takeaway = Takeaway(
        answers, outputs, tell=lambda path, why: told.put(f"{path.name} {why}"),
        show=lambda one: told.put(Path(one.image).name),
    )  # fmt: skip
    cancellation = Cancellation()

    def find(paths: Iterable[Path]) -> list[Path]:
        return list(pictures_of(paths, takeaway.fail))

    def run() -> None:
        with suppress(Cancelled), cancellation.watched():
            follow(takeaway, [folder], find, poll=poll, settle=0.05)

    thread = Thread(target=run)
    thread.start()
    try:
        assert [told.get(timeout=20), told.get(timeout=20)] == ["a.jpg", "b.jpg"]
        for name in ("c.jpg", "sub/bad.jpg", "d.jpg"):
            add(folder / name)
            assert told.get(timeout=20).split()[0] == Path(name).name
    finally:
        cancellation.ask()
        thread.join()
    assert inside.exists()
    assert answers.asked == ["a.jpg", "b.jpg", "c.jpg", "bad.jpg", "d.jpg"]
    assert takeaway.counts.failed == 1
    assert told.empty()
