"""What of the models is not on this machine yet."""

from __future__ import annotations

from engine.models import clip_sources, image_text_matching, seq2seq, vision_language
from engine.models.hub import missing_bytes
from engine.models.hub_cache import Needed, cached
from engine.models.loaded import CONSENSUS


def absent(encoder: str, generator: str, reranker: str = "", answerer: str = "") -> list[Needed]:
    """What has yet to be fetched before all can be loaded; nothing where all is here.

    Raises InvalidInput and ModelMissing for models that cannot be had at all.
    """
    wanted = list(clip_sources.needed(encoder))
    if generator != CONSENSUS:
        wanted += seq2seq.needed(generator)
    if reranker:
        wanted += image_text_matching.needed(reranker)
    if answerer:
        wanted += vision_language.needed(answerer)
    return [needed for needed in wanted if not cached(needed)]


def absent_bytes(encoder: str, generator: str, reranker: str = "", answerer: str = "") -> int:
    """How much that is; asks the hub, and raises ModelMissing where it cannot be reached."""
    return sum(map(missing_bytes, absent(encoder, generator, reranker, answerer)))
