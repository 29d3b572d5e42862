"""What filling did, as the JSON that terminal and jobs give."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.alignment.alignment import Alignment
from ingest.again import AgainReport
from ingest.embed import EmbedReport
from ingest.pipeline import IngestReport


def ingest_json(name: str, report: IngestReport) -> dict[str, Any]:
    """The stable JSON form of an ingest."""
    return {
        "collection": name,
        **embed_json(report.embed),
        "alignment": report.alignment and alignment_json(report.alignment),
        "points_written": report.push.points if report.push else 0,
        "described": report.described.described if report.described else 0,
        "images": report.pictures,
        "captions": report.captions,
        "seconds": report.seconds,
    }


def embed_json(report: EmbedReport) -> dict[str, Any]:
    """The stable JSON form of an embedding."""
    return {
        "read": report.read,
        "embedded": report.embedded,
        "reused": report.reused,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "captions_removed": report.unsaid,
        "skipped": dict(report.skipped),
    }


def alignment_json(alignment: Alignment) -> dict[str, Any]:
    """The stable JSON form of a map, with the table that `auto` chose from."""
    return {
        "method": alignment.method,
        "strength": alignment.strength,
        "n": alignment.n,
        "reason": alignment.reason,
        "choices": [asdict(choice) for choice in alignment.choices],
    }


def again_json(name: str, report: AgainReport) -> dict[str, Any]:
    """The stable JSON form of describing again."""
    return {
        "collection": name,
        "generated": report.stale.known,
        "stale": len(report.stale.sha256s),
        "reasons": dict(report.stale.reasons),
        "described": report.described.described,
        "failed": report.described.failed,
        "points_written": report.push.points,
        "seconds": report.described.seconds + report.push.seconds,
    }
