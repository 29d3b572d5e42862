"""What the ways to rerank are called on the pages, and which of them there are models for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from engine.app import Collection
from engine.types import RerankMethod
from ui.shared.resources import engine

RERANKERS: Mapping[RerankMethod, str] = MappingProxyType(
    {
        "off": "as they were found",
        "pointwise": "captions, one by one",
        "listwise": "captions, side by side",
        "picture": "the pictures themselves",
    }
)
HELP = (
    "A slower model judges the best of what was found, by their captions (pointwise, listwise) or "
    "by the pictures (a cross-encoder), for two seconds at most; what it has no time for keeps its "
    "place."
)


def usable(collection: Collection, chosen: Any = "off") -> list[RerankMethod]:
    """The ways that there are models for here, and the one that is chosen in any case."""
    there: dict[RerankMethod, bool] = {
        "off": True,
        "pointwise": collection.writes,
        "listwise": collection.writes,
        "picture": bool(engine().settings.reranker),
    }
    return [method for method, is_there in there.items() if is_there or method == chosen]
