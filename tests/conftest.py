"""Fakes that several suites share: small, hand-written, and injected."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest
from PIL import Image

from engine.types import Decoding, Vector, Vectors

pytest_plugins = ["tests.worlds", "tests.hub", "tests.samples"]

DIM = 4


def unit(*values: float) -> Vector:
    """A unit vector along the values, filled up with zeros."""
    vector = np.zeros(DIM, np.float32)
    vector[: len(values)] = values
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


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
