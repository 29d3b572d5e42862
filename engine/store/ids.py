"""Ids that follow from what a point is, so that writing twice is writing once."""

from __future__ import annotations

import json
from uuid import UUID, uuid5

from engine.types import CaptionSource

_NAMESPACE = UUID("6f0c7a52-6a1e-5c1b-9f43-0d8f4b9b7a11")


def caption_id(picture: str, text: str, source: CaptionSource) -> str:
    """The id of a caption: the same for the same text of the same picture (its key) and source."""
    return _id("caption", picture, text, source)


def picture_id(sha256: str) -> str:
    """The id of a picture: the same for the same bytes."""
    return _id("picture", sha256.lower())


def _id(*parts: str) -> str:
    return str(uuid5(_NAMESPACE, json.dumps(parts)))
