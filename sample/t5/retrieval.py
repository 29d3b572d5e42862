"""Retrieval as the program does it, in the few lines that training the T5 needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from PIL import Image

Array = npt.NDArray[np.float32]
_LITTLE_WORDS = {"a", "an", "the", "is", "are", "there"}


def unit(rows: Array) -> Array:
    """Rows scaled to length one."""
    scaled: Array = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return scaled


class Clip:
    """An open_clip model read from a local directory; embeddings come out unit length."""

    def __init__(self, folder: Path) -> None:
        name = f"local-dir:{folder}"
        self._model, _, self._preprocess = open_clip.create_model_and_transforms(name)
        self._model.eval()
        self._tokenize = open_clip.get_tokenizer(name)

    def images(self, pictures: Iterable[Image.Image], batch: int = 64) -> Array:
        """Embed pictures, (n, d)."""
        rows, left = [], iter(pictures)
        while some := list(islice(left, batch)):
            with torch.inference_mode():
                inputs = torch.stack([self._preprocess(picture) for picture in some])
                rows.append(self._model.encode_image(inputs).numpy())
        return unit(np.concatenate(rows))

    def texts(self, texts: Sequence[str], batch: int = 256) -> Array:
        """Embed texts, (n, d)."""
        rows = []
        for at in range(0, len(texts), batch):
            with torch.inference_mode():
                tokens = self._tokenize(list(texts[at : at + batch]))
                rows.append(self._model.encode_text(tokens).numpy())
        return unit(np.concatenate(rows))


def nearest(queries: Array, database: Array, k: int) -> npt.NDArray[np.int64]:
    """Indices (n, k) of the database rows with the largest dot product, best first."""
    scores = queries @ database.T
    found = np.argpartition(-scores, k, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1)
    return np.take_along_axis(found, order, axis=1)


def gist(text: str) -> str:
    """The caption without punctuation, articles and other little words."""
    words = re.findall(r"\w+", text.lower())
    return " ".join(word for word in words if word not in _LITTLE_WORDS)


def without_repeats(texts: Iterable[str]) -> list[str]:
    """The texts without those that say what an earlier one says in almost the same words."""
    firsts: dict[str, str] = {}
    for text in texts:
        firsts.setdefault(gist(text), text)
    return list(firsts.values())
