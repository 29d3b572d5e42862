"""How searches were made, as all doors tell it: stages know pictures by ids, people by names."""

from __future__ import annotations

from collections.abc import Sequence

from engine.app import Collection
from engine.stages.trace import MOVES_SHOWN, Move, Step, Trace
from engine.types import DateOrder, ImageHit
from mrag_client.models import Trace as TraceAnswer
from service.conversion import picture_names, trace_answer


def named_trace(trace: Trace, collection: Collection) -> TraceAnswer:
    """A trace of pictures, which it knows by ids, with their files' names and captions."""
    ids = dict.fromkeys(move.item for step in trace.steps for move in step.moves)
    return trace_answer(trace, picture_names(collection.images.get(list(ids))))


def browsing_trace(order: DateOrder, hits: Sequence[ImageHit], ms: float) -> Trace:
    """How pictures were found by filters alone."""
    moves = tuple(Move(hit.id, None, rank) for rank, hit in enumerate(hits[:MOVES_SHOWN], 1))
    did = f"found {len(hits)}" if hits else "found nothing"
    others = len(hits) - len(moves)
    step = Step(f"retrieve: by date, {order} first", did, ms, 0, len(hits), moves, others)
    return Trace((step,))
