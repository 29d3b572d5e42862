"""What an index remembers of how it was made, and the refusal of anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import IncompatibleIndex
from engine.store.bm25 import WORDS_VERSION
from engine.store.interface import IndexSpec

LAYOUT = 2
"""Version of the points' layout; another one is refused."""


def made_with(spec: IndexSpec) -> dict[str, Any]:
    """The values that are stored with an index."""
    kept: dict[str, Any] = {
        "encoder_id": spec.encoder_id,
        "dim": spec.dim,
        "vectors": sorted(spec.vectors),
        "fields": sorted(spec.fields),
        "layout": LAYOUT,
    }
    return {**kept, "words": WORDS_VERSION} if spec.typical_words else kept


def check_made_with(stored: Mapping[str, Any] | None, spec: IndexSpec, where: str) -> None:
    """Refuse an index that was made otherwise: raises IncompatibleIndex."""
    if not stored or "encoder_id" not in stored:
        raise IncompatibleIndex(
            f"{where} does not say what it was made with, so mrag did not make it; "
            f"remove it, or choose another collection name than {spec.collection!r}"
        )
    expected = made_with(spec)
    for key in ("layout", "vectors", "fields", "words"):
        if stored.get(key) != expected.get(key):
            raise IncompatibleIndex(
                f"{where} was written by another version, with other {key} than this one reads; "
                "write it again, which embeds nothing anew, with: "
                f"mrag push {spec.collection} --rebuild"
            )
    if any(stored.get(key) != expected[key] for key in ("encoder_id", "dim")):
        raise IncompatibleIndex(
            f"{where} was made with encoder {stored['encoder_id']} ({stored.get('dim')} "
            f"dimensions), not with {spec.encoder_id} ({spec.dim} dimensions); use the encoder "
            "it was made with, or ingest into a collection of another name"
        )
