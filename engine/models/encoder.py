"""Embeds pictures and texts with an open_clip model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL.Image import Image

from engine.errors import InvalidInput
from engine.models.clip_loader import Parts, load_clip
from engine.models.device import Precision, choose_device, choose_threads, use_threads
from engine.models.lean_clip import import_open_clip
from engine.progress import ticking
from engine.types import Vectors

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

TEXTS_PER_PICTURE = 8
"""Texts are so much cheaper than pictures that batches of them may be so much larger."""

LONGEST_SIDES = 16
"""Greatest ratio of the sides of a picture whose shorter side is scaled to the model's size;
of a longer one the middle is taken first, or a thread of pixels would fill the memory."""


def load_encoder(
    spec: str,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    batch_size: int = 32,
    threads: int = 0,
) -> OpenClipEncoder:
    """Load an encoder by open_clip `MODEL/TAG`, `hf-hub:ORG/NAME` or `local-dir:FOLDER`.

    `device` auto: cuda, then mps, then cpu. `precision` auto: float16 on cuda; bfloat16 for
    models with vectors of 512 and more on a CPU that has units for it; else float32.
    `threads` 0: see `choose_threads`.
    Raises InvalidInput for an argument that cannot be used, ModelMissing for absent weights.
    """
    if batch_size < 1:
        raise InvalidInput(f"batch_size is {batch_size}, it must be at least 1")
    with ticking("load open_clip (seconds)"):
        import_open_clip()
    chosen = choose_device(device)
    parts = load_clip(spec, chosen, precision)
    return OpenClipEncoder(parts, chosen, batch_size, choose_threads(parts.model, threads))


class OpenClipEncoder:
    """An open_clip model as a `types.Encoder`; any number of threads may use it."""

    def __init__(self, parts: Parts, device: torch.device, batch_size: int, threads: int) -> None:
        from engine.models.text_tower import TextTower

        open_clip = import_open_clip()

        self._parts = parts
        self._text_tower = TextTower(parts.model)
        self._device = device
        self._image_dtype = open_clip.get_input_dtype(parts.precision)
        self._batch_size = batch_size
        self._threads = threads
        # One forward at a time; not every tokenizer is safe for threads either.
        self._lock = Lock()
        # Several pictures at once already: each is prepared by one thread.
        self._pool = ThreadPoolExecutor(
            min(8, os.cpu_count() or 1), "prepare-picture", use_threads, (1,)
        )

    @property
    def id(self) -> str:
        """Model and weights: `MODEL/TAG`, `hf-hub:...` or `local-dir@<12 hex>`."""
        return self._parts.id

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._parts.dim

    @property
    def device(self) -> str:
        """Where the model runs."""
        return str(self._device)

    @property
    def precision(self) -> str:
        """Number format of the model: fp32, bf16 or fp16."""
        return self._parts.precision

    def prepare(self, image: Image) -> torch.Tensor:
        """The picture as the model sees it: (3, height, width) float32, normalised."""
        if self._parts.resize_mode == "shortest":
            image = _middle(image)
        return self._parts.prepare(image)

    def encode_images(self, images: list[Image]) -> Vectors:
        """Embed RGB pictures: (n, dim) float32 unit rows.

        Raises InvalidInput where a vector is not finite in this precision.
        """
        return self._stack([self._embed_images(batch) for batch in self._prepared(images)])

    def encode_texts(self, texts: list[str]) -> Vectors:
        """Embed texts, cut to the model's context: (n, dim) float32 unit rows.

        Raises InvalidInput where a vector is not finite in this precision.
        """
        batches = self._batches(texts, TEXTS_PER_PICTURE)
        return self._stack([self._embed_texts(batch) for batch in batches])

    def _batches(self, items: Sequence[T], times: int = 1) -> Iterator[list[T]]:
        size = self._batch_size * times
        for start in range(0, len(items), size):
            yield list(items[start : start + size])

    def _prepared(self, images: list[Image]) -> Iterator[torch.Tensor]:
        """Batches ready for the model; the next one is prepared while this one is embedded."""
        import torch

        current: list[Future[torch.Tensor]] = []
        for batch in self._batches(images):
            following = [self._pool.submit(self.prepare, image) for image in batch]
            if current:
                yield torch.stack([picture.result() for picture in current])
            current = following
        if current:
            yield torch.stack([picture.result() for picture in current])

    def _embed_images(self, batch: torch.Tensor) -> Vectors:
        import torch

        with self._lock, torch.inference_mode():
            use_threads(self._threads)
            pictures = batch.to(device=self._device, dtype=self._image_dtype)
            return self._unit(self._parts.model.encode_image(pictures))

    def _embed_texts(self, batch: list[str]) -> Vectors:
        import torch

        with self._lock, torch.inference_mode():
            use_threads(self._threads)
            tokens = self._parts.tokenize(batch).to(self._device)
            return self._unit(self._text_tower.encode(tokens))

    def _unit(self, features: torch.Tensor) -> Vectors:
        """Unit rows in float32, on the CPU."""
        import torch

        rows = torch.nn.functional.normalize(features.float(), dim=-1).cpu()
        if not torch.isfinite(rows).all():
            raise InvalidInput(
                f"{self.id} gives vectors that are not finite in precision {self.precision}; "
                "set MRAG_PRECISION to bf16 or fp32"
            )
        vectors: Vectors = rows.numpy()
        return vectors

    def _stack(self, parts: list[Vectors]) -> Vectors:
        return np.concatenate([np.empty((0, self.dim), np.float32), *parts])


def _middle(image: Image) -> Image:
    """The picture without the ends that the model's centre crop would drop anyway."""
    width, height = image.size
    if max(width, height) <= LONGEST_SIDES * min(width, height):
        return image
    wide, high = min(width, LONGEST_SIDES * height), min(height, LONGEST_SIDES * width)
    left, top = (width - wide) // 2, (height - high) // 2
    return image.crop((left, top, left + wide, top + high))
