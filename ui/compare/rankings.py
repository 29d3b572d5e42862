"""Two rankings side by side, with lines that show what moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.compare.comparison import Change, Comparison
from engine.compare.verdict import Verdict
from engine.images import Picture
from engine.legible import legible
from engine.search.thumbnails import shrunk
from engine.types import SPACES, CaptionHit, ImageHit, Space
from ui.shared.components import as_text, component, nothing
from ui.shared.pictures import thumbnail
from ui.shared.resources import thumbnails
from ui.shared.spaces import SPACES as SPACE_WORDS

_SIDE = 128
_QUERY_SIDE = 256

_rankings = component("rankings", '<div class="rankings"></div>')


def show_rankings(
    compared: Comparison[CaptionHit] | Comparison[ImageHit],
    verdict: Verdict,
    query: str | Picture | ImageHit,
    *,
    key: str,
) -> str | None:
    """Show both sides of a query's comparison; the id of the picture clicked in this run."""
    pictures = any(isinstance(hit, ImageHit) for hit in (*compared.raw, *compared.mapped))
    data = {
        "verdict": verdict.sentence,
        "winner": verdict.winner,
        "asked": _asked(query),
        "agreement": _agreement(compared),
        "pictures": pictures,
        "sides": [
            {
                "space": space,
                "name": _name(space),
                "right": _right(compared, space),
                "items": _items(compared, space),
            }
            for space in SPACES
        ],
        "changes": [[change.raw, change.mapped, change.kind] for change in compared.changes],
    }
    clicked = _rankings(key=key, data=data, on_clicked_change=nothing).get("clicked")
    shown = [hit for hit in (*compared.raw, *compared.mapped) if isinstance(hit, ImageHit)]
    return next((hit.id for hit in shown if hit.id == clicked), None)


def _name(space: Space) -> str:
    said = SPACE_WORDS[space].both
    return said[0].upper() + said[1:]


def _asked(query: str | Picture | ImageHit) -> dict[str, str]:
    if isinstance(query, str):
        return {"words": query}
    if isinstance(query, ImageHit):
        return {"image": as_text(thumbnail(query.uri, _QUERY_SIDE))}
    return {"image": as_text(shrunk(query.image, _QUERY_SIDE))}


def _agreement(compared: Comparison[CaptionHit] | Comparison[ImageHit]) -> str:
    k = max(len(compared.raw), len(compared.mapped))
    return (
        f"{round(compared.overlap * k)} of {k} in common (overlap {compared.overlap:.2f}) · "
        f"rank-biased overlap {compared.rbo:.2f} (1: the same order, 0: nothing shared)"
    )


def _right(compared: Comparison[CaptionHit] | Comparison[ImageHit], space: Space) -> str:
    truth = compared.truth
    if truth is None:
        return ""
    rank = truth.raw if space == "raw" else truth.mapped
    return f"right at rank {rank}" if rank else f"right: not in the first {truth.depth}"


def _items(
    compared: Comparison[CaptionHit] | Comparison[ImageHit], space: Space
) -> list[dict[str, Any]]:
    hits: Sequence[CaptionHit | ImageHit] = compared.raw if space == "raw" else compared.mapped
    truth = compared.truth
    ranks = () if truth is None else truth.raw_ranks if space == "raw" else truth.mapped_ranks
    changes = {
        change.raw if space == "raw" else change.mapped: change for change in compared.changes
    }
    uris = [hit.uri for hit in hits if hit.uri]
    images = dict(zip(uris, thumbnails().get(uris, _SIDE), strict=True))
    return [
        {
            "id": hit.id,
            "text": legible(
                hit.text if isinstance(hit, CaptionHit) else next(iter(hit.captions), "")
            ),
            "image": as_text(images[hit.uri]) if hit.uri else "",
            "score": f"{hit.score:.3f}",
            "right": rank in ranks,
            **_moved(changes[rank], space, compared.depth),
        }
        for rank, hit in enumerate(hits, start=1)
    ]


def _moved(change: Change, space: Space, depth: int) -> dict[str, str]:
    """What is noted beside a find, and how it is read out."""
    if space == "raw":
        if change.kind != "gone":
            return {"kind": "", "note": "", "said": ""}
        where = f"rank {change.mapped}" if change.mapped else f"beyond {depth}"
        return {"kind": "gone", "note": f"mapped: {where}", "said": f"in mapped {where}"}
    if change.kind == "new":
        where = f"rank {change.raw}" if change.raw else f"beyond {depth}"
        return {"kind": "new", "note": f"raw: {where}", "said": f"new, in raw {where}"}
    steps = abs((change.raw or 0) - (change.mapped or 0))
    note = {"same": "=", "up": f"▲ {steps}", "down": f"▼ {steps}"}[change.kind]
    said = {"same": "same rank as raw", "up": f"up by {steps}", "down": f"down by {steps}"}
    return {"kind": change.kind, "note": note, "said": said[change.kind]}
