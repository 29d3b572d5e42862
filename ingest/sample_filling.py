"""Fills the sample collections with what comes with the program."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np

from engine.app import Engine
from engine.progress import OnProgress, silent
from engine.settings import PROFILES, SAMPLE_PACK
from engine.types import Encoder, Vector, Vectors
from ingest.pipeline import IngestReport, ingest
from ingest.readers import open_captions, open_source
from ingest.samples import begin, forget
from ingest.sources import Source

HELD_OUT = "test"
"""The split of the pack that no collection holds."""

_FILLED = frozenset(("train", "val"))


class SampleFiller:
    """Fills sample collections from the pack, with the models of the pack."""

    def __init__(self, engine: Engine, pack: Path = SAMPLE_PACK) -> None:
        self._settings = engine.settings
        self._pack = pack
        self._specs = PROFILES["sample"]
        self._encoder = _EachOnce(engine.models.encoder(self._specs[0]))

    def fill(self, name: str, on_progress: OnProgress = silent) -> IngestReport:
        """Bring a sample level with the pack: its pictures but the held-out ones.

        Raises IncompatibleIndex where a collection of that name was made by another encoder.
        """
        pictures = open_source(self._pack / name / "captions.jsonl", split=_FILLED)
        captions = open_captions(self._pack / "memory.txt")
        encoder_spec, generator_spec = self._specs
        begin(self._settings.home, name)
        report = ingest(
            # In one go: map and index are made once, not for the pictures and again.
            chain(pictures, captions),
            name=name,
            encoder=self._encoder,
            encoder_spec=encoder_spec,
            generator_spec=generator_spec,
            settings=self._settings,
            source=Source(str(self._pack), "sample", name="the samples of the program"),
            on_progress=on_progress,
        )
        forget(self._settings.home, name)
        return report


class _EachOnce:
    """An encoder that embeds a text once: the sample collections share their loose captions."""

    def __init__(self, encoder: Encoder) -> None:
        self.id, self.dim = encoder.id, encoder.dim
        self.encode_images = encoder.encode_images
        self._encode_texts = encoder.encode_texts
        self._known: dict[str, Vector] = {}

    def encode_texts(self, texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._encode_texts(new), strict=True))
        return np.stack([self._known[text] for text in texts])
