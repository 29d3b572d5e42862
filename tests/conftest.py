"""Fakes that several suites share: small, hand-written, and injected."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from PIL import Image
from xdist.scheduler import LoadFileScheduling

from engine.progress import check_cancelled
from engine.types import Decoding, Vector, Vectors

pytest_plugins = ["tests.worlds", "tests.hub", "tests.samples"]

MEMORY, ROOM = Path("/dev/shm"), 8 * 2**30
_IN_MEMORY = pytest.StashKey[Path]()
_folders: defaultdict[Any, set[Path]] = defaultdict(set)  # by the fixture that made them

hypothesis.settings.register_profile("untimed", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("untimed")  # a busy machine is no fault of the code


def pytest_configure(config: pytest.Config) -> None:
    """Keep what the tests write in memory where there is room: no test cuts the power.

    Indexes sync what they write, which takes most of the time of a small one on a disk.
    """
    if "PYTEST_DEBUG_TEMPROOT" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    if shutil.disk_usage(MEMORY).free > ROOM:
        config.stash[_IN_MEMORY] = Path(tempfile.mkdtemp(prefix="mrag-tests-", dir=MEMORY))
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(config.stash[_IN_MEMORY])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the memory back: the next run needs it."""
    if _IN_MEMORY in config.stash:
        shutil.rmtree(config.stash[_IN_MEMORY], ignore_errors=True)
        del os.environ["PYTEST_DEBUG_TEMPROOT"]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, object, object]:
    """Remember which folders the fixture of a file's tests makes."""
    if fixturedef.scope not in ("module", "class", "package"):
        return (yield)
    base = request.getfixturevalue("tmp_path_factory").getbasetemp()
    before = set(base.iterdir())
    result = yield
    _folders[fixturedef] |= set(base.iterdir()) - before - set().union(*_folders.values())
    return result


def pytest_fixture_post_finalizer(fixturedef: Any) -> None:
    """Take them away with it: pytest keeps them till the end, and an index has its size."""
    for folder in _folders.pop(fixturedef, ()):
        shutil.rmtree(folder, ignore_errors=True)


DIM = 4


def unit(*values: float) -> Vector:
    """A unit vector along the values, filled up with zeros."""
    vector = np.zeros(DIM, np.float32)
    vector[: len(values)] = values
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


class ByFileOrBrowser(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A file's tests run in one process, which shares its homes; so do those of one served app."""

    def _split_scope(self, nodeid: str) -> str:
        return "browser" if "tests/browser/" in nodeid else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFileOrBrowser:
    return ByFileOrBrowser(config, log)


class FakeEncoder:
    """Knows the vectors of a few words; pictures are known by their top left pixel."""

    id = "fake"
    dim = DIM

    def __init__(
        self, texts: Mapping[str, Vector], colours: Mapping[tuple[int, ...], Vector]
    ) -> None:
        self._texts = texts
        self._colours = colours

    def encode_texts(self, texts: list[str]) -> Vectors:
        return np.array([self._texts[text] for text in texts], np.float32).reshape(-1, DIM)

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        pixels = [image.getpixel((0, 0)) for image in images]
        rows = [self._colours[pixel] for pixel in pixels if isinstance(pixel, tuple)]
        return np.array(rows, np.float32).reshape(-1, DIM)


class FakeGenerator:
    """Writes what it is told for every prompt, and remembers the prompts."""

    id = "fake"
    max_input_tokens = 100

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.prompts: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        del decoding
        self.prompts += prompts
        return [self._texts[:n] for _ in prompts]


class FakeTextStream:
    """Writes the pieces that it is told, and remembers its prompts and the pictures it saw."""

    id = "fake"
    max_input_tokens = 100

    def __init__(
        self, *pieces: str, max_images: int = 4, then: BaseException | None = None
    ) -> None:
        """`then`: raised after the last piece."""
        self._pieces, self._then = pieces, then
        self.max_images = max_images
        self.asked: list[tuple[str, list[Image.Image], int]] = []
        self.closed = 0
        """How many streams have ended, to their end or because nobody read on."""

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def stream(
        self, prompt: str, images: Sequence[Image.Image], max_new_tokens: int
    ) -> Iterator[str]:
        self.asked.append((prompt, list(images), max_new_tokens))
        try:
            for piece in self._pieces:
                check_cancelled()
                yield piece
            if self._then:
                raise self._then
        finally:
            self.closed += 1


@pytest.fixture(autouse=True, scope="session")
def no_power_cuts() -> Iterator[None]:
    """No test cuts the power, so nothing need be synced: that takes a third of the time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def fake_encoder() -> Callable[..., FakeEncoder]:
    return FakeEncoder


@pytest.fixture
def fake_generator() -> Callable[..., FakeGenerator]:
    return FakeGenerator


@pytest.fixture
def fake_text_stream() -> Callable[..., FakeTextStream]:
    return FakeTextStream
