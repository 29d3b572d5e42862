"""The rerankers that read captions, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from engine.rerank.judging import Judging
from engine.rerank.listwise import Listwise
from engine.rerank.pointwise import Pointwise
from engine.stages.protocols import T
from engine.types import CaptionHit, Chooser, ImageHit


def reading(
    method: Literal["pointwise", "listwise"],
    chooser: Chooser,
    captions: Callable[[T], Sequence[str]],
) -> Judging[str, T]:
    """Judges items by their captions, for words."""
    if method == "pointwise":
        return Pointwise(chooser, str, captions)
    return Listwise(chooser, str, captions)


def captions_of(hit: ImageHit) -> Sequence[str]:
    """What is said of a picture."""
    return hit.captions


def text_of(hit: CaptionHit) -> Sequence[str]:
    """What a caption says."""
    return (hit.text,)
