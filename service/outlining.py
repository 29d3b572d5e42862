"""What is seen in a video, shot by shot, in words."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from PIL.Image import Image

from engine.app import Collection
from engine.describe.captioner import Captioner, each_described
from engine.errors import MragError
from engine.identity import PictureIdentity, shot_sha256
from engine.limits import Limits
from engine.metadata.facts import later
from engine.types import Encoder, Vectors
from engine.vectors import unit
from engine.video.container import Video
from engine.video.still import content_of
from ingest.video.shots import Shot, ShotReader
from mrag_client.answers import NamedPicture
from mrag_client.models import OutlineAnswer, OutlineOptions, OutlineShot
from service.conversion import describe_options

_TOGETHER = 8
"""Shots described in one batch."""


def outline(
    collection: Collection, given: NamedPicture, options: OutlineOptions, limits: Limits
) -> OutlineAnswer:
    """Describe the shots of a video from `options.start` on, as many as are asked for.

    Of several in a row with the same words one is told. Raises UnreadableImage for what is no
    video.
    """
    captioner = collection.captioner(describe_options(options))
    with _on_disk(given.source) as path, Video(path, limits) as video:
        content, start_ms = content_of(path), round(1000 * options.start)
        shots = iter(ShotReader(video, start_ms))
        told: list[OutlineShot] = []
        end_ms = start_ms
        for batch in _batches(shots, options.shots):
            sha256s = [shot_sha256(content, shot.start_ms) for shot in batch]
            exclude = collection.excluded(sha256s, own=options.own)
            rows = frame_means(collection.encoder, [shot.frames for shot in batch])
            told += _described(captioner, batch, rows, exclude, video)
            end_ms = batch[-1].end_ms
        more = next(shots, None) is not None
        return OutlineAnswer(
            video=given.name,
            seconds=video.duration,
            shots=tuple(_joined(told)),
            next=end_ms / 1000 if more else None,
            trouble=video.trouble,
        )


def frame_means(encoder: Encoder, shots: Sequence[Sequence[Image]]) -> Vectors:
    """The vectors of shots by their frames, (n, dim) unit rows: the mean of those of the frames."""
    vectors = encoder.encode_images([frame for frames in shots for frame in frames])
    if len(vectors) == len(shots):
        return vectors  # pictures, or single frames
    ends = np.cumsum([0, *map(len, shots)])
    return unit(np.stack([unit(vectors[a:b]).mean(axis=0) for a, b in pairwise(ends.tolist())]))


def _described(
    captioner: Captioner,
    shots: Sequence[Shot],
    rows: Vectors,
    exclude: list[PictureIdentity] | None,
    video: Video,
) -> Iterator[OutlineShot]:
    answers = each_described(
        lambda part: captioner.describe_vectors(rows[part], exclude=exclude and exclude[part]),
        len(shots),
    )
    for shot, answer in zip(shots, answers, strict=True):
        failed = isinstance(answer, MragError)
        yield OutlineShot(
            start=shot.start_ms / 1000,
            end=shot.end_ms / 1000,
            caption="" if isinstance(answer, MragError) else answer.caption,
            taken_at=later(video.facts, shot.start_ms / 1000).taken_at,
            error=str(answer) if failed else "",
        )


def _joined(shots: Sequence[OutlineShot]) -> Iterator[OutlineShot]:
    """Shots, of which those in a row that are told in the same words are one."""
    last: OutlineShot | None = None
    for shot in shots:
        if last and last.caption and (last.caption, last.end) == (shot.caption, shot.start):
            last = last.model_copy(update={"end": shot.end})
            continue
        if last:
            yield last
        last = shot
    if last:
        yield last


def _batches(shots: Iterator[Shot], most: int) -> Iterator[list[Shot]]:
    left = most
    while left and (batch := list(islice(shots, min(left, _TOGETHER)))):
        yield batch
        left -= len(batch)


@contextmanager
def _on_disk(source: Path | bytes) -> Iterator[Path]:
    """The file of a video, for whose bytes one is made."""
    if isinstance(source, Path):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="mrag-video-") as folder:
        path = Path(folder, "video")
        path.write_bytes(source)
        yield path
