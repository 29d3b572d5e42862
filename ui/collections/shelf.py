"""All collections at a glance: cards with covers, one of which is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from engine.app import CollectionSummary
from engine.errors import MragError
from ui.shared.components import as_text, component, nothing
from ui.shared.resources import engine, thumbnails

_COVERS = 4
_SIDE = 256

_shelf = component("shelf", "<ul></ul>", buttons=True)


def show_shelf(names: Sequence[str], chosen: str) -> str | None:
    """Show the collections; the name of the one that was clicked in this run."""
    cards = [_card(name, chosen=name == chosen) for name in names]
    clicked = _shelf(key="shelf", data=cards, on_clicked_change=nothing).get("clicked")
    return clicked if clicked in names else None


def _card(name: str, *, chosen: bool) -> dict[str, object]:
    covers: list[bytes] = []
    try:
        collection = engine().open(name)
        summary = collection.summary()
        told = counted(summary)
        if summary.images:
            hits = collection.images.get(list(islice(collection.images.ids(), _COVERS)))
            covers = thumbnails().get([hit.uri for hit in hits], _SIDE)
    except MragError:
        told = "cannot be opened; choose it to see why"
    return {"name": name, "covers": list(map(as_text, covers)), "told": told, "chosen": chosen}


def counted(summary: CollectionSummary) -> str:
    """What a collection holds, in a line."""
    if summary.images is None or summary.captions is None:
        return "not ready yet"
    return f"{_many(summary.images, 'picture')} · {_many(summary.captions, 'caption')}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
