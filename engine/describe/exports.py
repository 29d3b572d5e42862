"""The stable JSON form of descriptions, as the terminal prints them."""

from __future__ import annotations

from typing import Any

from engine.types import CaptionHit, CaptionResult


def caption_json(name: str, result: CaptionResult) -> dict[str, Any]:
    """The stable JSON form of a description."""
    return {
        "image": name,
        "caption": result.caption,
        "candidates": [
            {"text": candidate.text, "score": candidate.score} for candidate in result.candidates
        ],
        "retrieved": [caption_hit_json(hit) for hit in result.retrieved],
        "space": result.space,
        "timings_ms": dict(result.timings_ms),
    }


def caption_hit_json(hit: CaptionHit) -> dict[str, Any]:
    """The stable JSON form of a caption that was found."""
    return {"text": hit.text, "score": hit.score, "image_id": hit.image_id}
