"""Describes pictures again whose descriptions were made with another map, memory or model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from corpus.described import DescribedShard
from corpus.ledger import Ledger
from engine.app import Engine
from engine.collection import CollectionFolder
from engine.progress import OnProgress, silent
from engine.types import MadeWith
from ingest.describe import DescribeReport, describe
from ingest.pipeline import compact_if_worth_it, trouble_lines
from ingest.push import PushReport, push

_OTHERWISE = {
    "generator": "another generator",
    "map": "another map",
    "memory": "another memory",
    "captions": "other captions to borrow",
}
_NOT_NOTED = "an earlier version, which did not note with what"


@dataclass(frozen=True)
class Stale:
    """Pictures whose descriptions would be made with something else now.

    `sha256s` are theirs, `reasons` say with how many what was otherwise, and `known` is how many
    generated descriptions there are.
    """

    sha256s: tuple[str, ...]
    reasons: Mapping[str, int]
    known: int

    @property
    def text(self) -> str:
        """How many of how many, and why, on one line."""
        if not self.sha256s:
            return f"all {self.known:,} generated descriptions are made with what there is now"
        told = ", ".join(f"{count:,} with {reason}" for reason, count in self.reasons.items())
        return (
            f"{len(self.sha256s):,} of {self.known:,} generated descriptions were made otherwise "
            f"than now: {told}"
        )


@dataclass(frozen=True)
class AgainReport:
    """What was stale, and what was described and pushed."""

    stale: Stale
    described: DescribeReport
    push: PushReport

    @property
    def text(self) -> str:
        """A few lines for a person."""
        return "\n".join(_lines(self))


def stale(folder: CollectionFolder, now: MadeWith) -> Stale:
    """The generated descriptions that were not made with what there is `now`."""
    found: list[str] = []
    reasons: Counter[str] = Counter()
    known = 0
    with Ledger.read(folder) as ledger:
        for file in ledger.described_shards():
            rows = ledger.generated_rows(file.number)
            noted = DescribedShard(file).made_with() if rows else []
            known += len(rows)
            for row, sha256 in rows:
                if told := differences(noted[row], now):
                    found.append(sha256)
                    reasons.update(told)
    return Stale(tuple(found), dict(reasons.most_common()), known)


def differences(before: MadeWith | None, now: MadeWith) -> list[str]:
    """In what a description was made otherwise than it would be now, in words."""
    if before is None:
        return [_NOT_NOTED]
    return [
        _OTHERWISE[field.name]
        for field in fields(MadeWith)
        if getattr(before, field.name) != getattr(now, field.name)
    ]


def describe_again(engine: Engine, name: str, *, on_progress: OnProgress = silent) -> AgainReport:
    """Bring the index level, describe again what was described otherwise than now, and push that.

    What people wrote stays. Pictures that have no description yet get theirs. Killed and run
    again, it goes on where it was.
    """
    opened = engine.open(name)
    push(opened.folder, opened.card, engine.settings, on_progress=on_progress)
    captioner = opened.filling_captioner()
    found = stale(opened.folder, captioner.made_with)
    described = describe(
        opened.folder,
        opened.filling_encoder,
        lambda: captioner,
        again=found.sha256s,
        on_progress=on_progress,
    )
    pushed = push(opened.folder, opened.card, engine.settings, on_progress=on_progress)
    compact_if_worth_it(opened.folder, on_progress)
    return AgainReport(found, described, pushed)


def _lines(report: AgainReport) -> Iterator[str]:
    yield report.stale.text
    described = report.described
    yield f"described {described.described:,} pictures ({described.seconds:.1f} s)"
    if described.failed:
        yield f"nothing could be written for {described.failed:,} pictures"
        yield from (f"  {example.uri}: {example.reason}" for example in described.examples)
    yield from trouble_lines(report.push)
