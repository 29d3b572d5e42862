"""Refines a collection by its own descriptions: those good enough become captions to borrow from.

The loop of mRAG-gim (Jaiswal et al. 2025): describe the training pictures, keep what scores at or
above the validation mean, fit and index anew, and go on while the validation mean rises beyond
chance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import numpy as np

from corpus.described import write_round
from corpus.ledger import Ledger
from corpus.lock import writing
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.describe.retriever import CaptionSearch
from engine.errors import InvalidInput
from engine.progress import OnProgress, silent
from engine.settings import Settings
from engine.store import open_caption_store
from engine.types import TRAINING_SPLITS, Encoder
from evaluation.metrics.intervals import Difference, paired
from ingest.fit import fit_if_needed
from ingest.push import push
from refine.drafts import Draft, Writer, write_drafts
from refine.rounds import Round, asked_for, keep_before, note_rounds, read_rounds, round_shard
from refine.runs import (
    Run,
    close_run,
    note_worth,
    open_run,
    read_run,
    read_worth,
    work_folder,
)
from refine.sifting import Sifted, sift
from refine.undo import finish_withdrawals, withdraw
from refine.yardstick import Score, Values, Yardstick, caption_values


@dataclass(frozen=True)
class RefineOptions:
    """How a collection is refined.

    `metric`: what captions are judged by, see `Yardstick.parse`. `patience`: after so many rounds
    on end without a rise it stops; a rise that may be chance is none. `split`: the pictures that
    validate. `share`: how much of a picture's captions may be generated; up to a half, people's
    are not outnumbered.
    """

    metric: str = "cider-d"
    max_rounds: int = 5
    patience: int = 1
    split: str = "val"
    share: float = 0.5

    def __post_init__(self) -> None:
        Yardstick.parse(self.metric)
        for name in ("max_rounds", "patience"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 < self.share < 1:
            raise InvalidInput(f"share is {self.share}; it must lie between 0 and 1")
        if self.split in TRAINING_SPLITS:
            raise InvalidInput(
                f"split {self.split!r} is fitted on, so it cannot validate; name another one, or "
                "ingest captioned pictures as split 'val'"
            )


@dataclass(frozen=True)
class RefineReport:
    """What came of a refinement: its rounds, validation means, and why it ended.

    `before` is the mean without these rounds, `after` with those that were kept, `gain` their
    difference with its 95 % interval over the validation pictures. These chose the rounds, so
    that the gain is not what other pictures would show.
    """

    metric: str
    rounds: tuple[Round, ...]
    before: float
    after: float
    reason: str
    seconds: float
    gain: Difference | None = None


def refine(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: Encoder,
    make_writer: Callable[[], Writer],
    options: RefineOptions | None = None,
    *,
    writer_id: str = "",
    score: Score = caption_values,
    on_progress: OnProgress = silent,
) -> RefineReport:
    """Refine a collection round by round, and keep the rounds up to the best.

    `make_writer` is called anew whenever map and index have changed; the writer must borrow from
    captions of the training splits alone, or what is held out comes back in a training caption.
    `writer_id` names it in the records. Killed at any moment and run again with the same options,
    it goes on; with others, a round that was on trial is withdrawn first.

    Raises InvalidInput where there is nothing to validate or to train on, MetricUnavailable, and
    what describing, fitting and pushing raise.
    """
    with writing(folder):
        refinement = _Refinement(
            folder,
            card,
            settings,
            encoder,
            make_writer,
            options or RefineOptions(),
            writer_id,
            score,
            on_progress,
        )
        return refinement.all()


class _Refinement:
    """One refinement, begun or gone on with."""

    def __init__(
        self,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
        encoder: Encoder,
        make_writer: Callable[[], Writer],
        options: RefineOptions,
        writer_id: str,
        score: Score,
        on_progress: OnProgress,
    ) -> None:
        self._folder, self._card, self._settings = folder, card, settings
        self._encoder = encoder
        self._make_writer, self._writer_id = make_writer, writer_id
        self._options = options
        self._score = score
        self._on_progress = on_progress

    def all(self) -> RefineReport:
        """Go round until it no longer rises."""
        started = monotonic()
        finish_withdrawals(self._folder, self._card, self._settings, on_progress=self._on_progress)
        self._run = self._resumed() or self._begun()
        while not (reason := self._over()):
            self._go_round()
        best = self._best()
        fell = {
            one.number: _verdict(
                one.metric, best, best if one.after is None else one.after, one.gain
            )
            for one in self._trial()
        }
        self._withdraw(fell)
        rounds = tuple(self._rounds())
        gain = self._gain(self._best_round(), self._run.first - 1)
        close_run(self._folder)
        name, baseline = self._run.yardstick.name, self._run.baseline
        return RefineReport(name, rounds, baseline, best, reason, monotonic() - started, gain)

    # The run: begun, or as it was left

    def _resumed(self) -> Run | None:
        """The run that was killed, if the same is asked for and nothing has changed since."""
        run = read_run(self._folder)
        if run is not None and run.about == self._about():
            return run
        left = [one.number for one in read_rounds(self._folder) if one.state == "trial"]
        self._withdraw(dict.fromkeys(left, "the run that had it on trial was not gone on with"))
        return None

    def _begun(self) -> Run:
        self._level()
        drafts = self._validation(0)
        yardstick = Yardstick.parse(self._options.metric)
        values = self._score(*_texts(drafts), yardstick.metrics)
        yardstick = yardstick.standardised(values)
        worth = yardstick.combined(values)
        run = Run(self._about(), self._next_number(), float(worth.mean()), yardstick)
        note_worth(self._folder, run.first - 1, _by_picture(drafts, worth))
        open_run(self._folder, run)
        return run

    def _about(self) -> dict[str, Any]:
        """What must be the same for a run to go on."""
        with Ledger.open(self._folder) as ledger:
            return {
                "options": asdict(self._options),
                "writer": self._writer_id,
                "commit": ledger.last_commit_of_sources(),
                "request": asked_for(self._folder),
            }

    def _next_number(self) -> int:
        return 1 + max((one.number for one in read_rounds(self._folder)), default=0)

    def _rounds(self) -> list[Round]:
        """The rounds of this run."""
        return [one for one in read_rounds(self._folder) if one.number >= self._run.first]

    def _trial(self) -> list[Round]:
        return [one for one in self._rounds() if one.state == "trial"]

    def _best(self) -> float:
        """The mean after the last round that was kept."""
        kept = [one.after for one in self._rounds() if one.state == "kept"]
        return [self._run.baseline, *(after for after in kept if after is not None)][-1]

    def _best_round(self) -> int:
        """The last round that was kept; the one before the first where none was."""
        kept = [one.number for one in self._rounds() if one.state == "kept"]
        return [self._run.first - 1, *kept][-1]

    def _gain(self, later: int, earlier: int) -> Difference | None:
        """By how much the mean after one round is above that after another, over pictures."""
        a, b = read_worth(self._folder, later), read_worth(self._folder, earlier)
        both = sorted(a.keys() & b.keys())
        if not both:
            return None
        values = (np.array([worth[picture] for picture in both]) for worth in (a, b))
        return paired(*values, seed=0)

    def _over(self) -> str:
        """Why no further round is made; "" while one is."""
        rounds, trial = self._rounds(), self._trial()
        if trial and trial[-1].after is None:
            return ""
        if rounds and rounds[-1].state == "empty":
            return rounds[-1].reason
        # What did not help is withdrawn last of all: a run that was cut after that is over too.
        withdrawn = bool(rounds) and rounds[-1].state == "withdrawn"
        if withdrawn or len(trial) >= self._options.patience:
            name, split = self._run.yardstick.name, self._options.split
            return f"{name} on split {split!r} no longer rises beyond chance"
        if len(rounds) >= self._options.max_rounds:
            return f"the limit of rounds, {self._options.max_rounds}, was reached"
        return ""

    # One round

    def _go_round(self) -> None:
        """Add what is good enough, fit, index and validate; go on with a round that was cut."""
        started = monotonic()
        trial = self._trial()
        cut = trial.pop() if trial and trial[-1].after is None else None
        if cut is None or round_shard(self._folder, cut.number) is None:
            cut = self._add(cut.number if cut else self._next_number(), trial)
        if cut.state == "empty":
            return
        self._level()
        drafts = self._validation(cut.number)
        worth = self._worth(drafts)
        note_worth(self._folder, cut.number, _by_picture(drafts, worth))
        after, best = float(worth.mean()), self._best()
        gain = self._gain(cut.number, self._best_round())
        done = replace(cut, after=after, gain=gain, seconds=monotonic() - started)
        if _risen(gain):
            done = replace(done, state="kept", reason=_verdict(cut.metric, best, after, gain))
            later = f"round {done.number} was built on it: {done.reason}"
            trial = [replace(one, state="kept", reason=later) for one in trial]
        note_rounds(self._folder, [*trial, done])

    def _add(self, number: int, trial: Sequence[Round]) -> Round:
        """Describe, judge and sift; what is left is in the collection from then on."""
        began = datetime.now(UTC).isoformat(timespec="seconds")
        validation = self._validation(number - 1)
        with Ledger.open(self._folder) as ledger:
            training = self._drafts(ledger, TRAINING_SPLITS, f"round {number}: describe")
            # Judged together, so that words weigh alike in both (CIDEr-D).
            worth = self._worth([*validation, *training])
            threshold = float(worth[: len(validation)].mean())
            sifted = self._sifted(ledger, training, worth[len(validation) :], threshold)
            record = Round(
                number=number,
                state="trial" if sifted.refined else "empty",
                metric=self._run.yardstick.name,
                began=began,
                before=self._latest(trial),
                threshold=threshold,
                written=len(training),
                reached=sifted.reached,
                copies=sifted.copies,
                capped=sifted.capped,
                added=len(sifted.refined),
                copy_cosine=sifted.copy_cosine,
                writer=self._writer_id,
                reason=_emptiness(sifted, threshold),
                split=self._options.split,
            )
            if record.added:
                keep_before(self._folder, ledger, number)
        note_rounds(self._folder, [record])
        if record.added:
            self._write(number, sifted)
        return record

    def _write(self, number: int, sifted: Sifted) -> None:
        with Ledger.open(self._folder) as ledger:
            write_round(
                self._folder.rounds,
                number,
                sifted.refined,
                sifted.vectors,
                commit=ledger.next_commit(),
                encoder_id=self._encoder.id,
            )

    def _latest(self, trial: Sequence[Round]) -> float:
        """The validation mean of the collection as it is."""
        after = trial[-1].after if trial else None
        return self._best() if after is None else after

    def _sifted(
        self, ledger: Ledger, drafts: Sequence[Draft], worth: Values, threshold: float
    ) -> Sifted:
        with ExitStack() as stack:
            return sift(
                drafts,
                worth.tolist(),
                threshold,
                folder=self._folder,
                ledger=ledger,
                encoder=self._encoder,
                stores=self._stores(stack),
                share=self._options.share,
            )

    def _stores(self, stack: ExitStack) -> list[CaptionSearch]:
        """The captions that are borrowed from: the collection's, and its memory's."""
        places = [(self._folder, self._card)]
        if self._card.memory:
            memory = self._folder.sibling(self._card.memory)
            places.append((memory, memory.read_card()))
        return [
            stack.enter_context(open_caption_store(folder, card, self._settings))
            for folder, card in places
        ]

    def _worth(self, drafts: Sequence[Draft]) -> Values:
        yardstick = self._run.yardstick
        return yardstick.combined(self._score(*_texts(drafts), yardstick.metrics))

    # Captions, written once for each state of the collection

    def _validation(self, number: int) -> list[Draft]:
        with Ledger.open(self._folder) as ledger:
            return self._drafts(ledger, {self._options.split}, f"validate round {number}")

    def _drafts(self, ledger: Ledger, splits: Collection[str], stage: str) -> list[Draft]:
        state = [
            sorted(splits),
            Alignment.load(self._folder.alignment).fingerprint,
            ledger.refined.rounds(),
            ledger.last_commit(),
            self._writer_id,
        ]
        name = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]
        drafts = write_drafts(
            ledger,
            splits,
            self._make_writer,
            work_folder(self._folder) / f"{name}.jsonl",
            stage=stage,
            on_progress=self._on_progress,
        )
        if not drafts:
            raise InvalidInput(
                f"collection {self._card.name!r} has no captioned picture in split "
                f"{' or '.join(map(repr, sorted(splits)))} to refine with; ingest some, or name "
                "the split that validates with --split"
            )
        return drafts

    # Level and withdrawal

    def _level(self) -> None:
        """Bring map and index level with the captions."""
        fit_if_needed(self._folder, self._card, on_progress=self._on_progress)
        push(self._folder, self._card, self._settings, on_progress=self._on_progress)

    def _withdraw(self, reasons: dict[int, str]) -> None:
        if reasons:
            withdraw(
                self._folder, self._card, self._settings, reasons, on_progress=self._on_progress
            )


def _texts(drafts: Sequence[Draft]) -> tuple[list[str], list[tuple[str, ...]]]:
    return [draft.text for draft in drafts], [draft.references for draft in drafts]


def _by_picture(drafts: Sequence[Draft], worth: Values) -> dict[str, float]:
    return {draft.sha256: value for draft, value in zip(drafts, worth.tolist(), strict=True)}


def _risen(gain: Difference | None) -> bool:
    """Whether a gain is more than the draw of the validation pictures explains."""
    return gain is not None and gain.low > 0


def _verdict(metric: str, best: float, after: float, gain: Difference | None) -> str:
    if after > best:
        rose = f"{metric} rose from {best:.4f} to {after:.4f}"
        if gain is None or _risen(gain):
            return rose
        return f"{rose}, which may be chance (95 % interval {gain.low:+.4f} to {gain.high:+.4f})"
    if after == best:
        return f"{metric} stayed at {best:.4f}"
    return f"{metric} fell from {best:.4f} to {after:.4f}"


def _emptiness(sifted: Sifted, threshold: float) -> str:
    """Why a round adds nothing; "" if it adds something."""
    if sifted.refined:
        return ""
    if not sifted.reached:
        return f"no caption that was written scores {threshold:.4f}, the validation mean, or more"
    return (
        f"of {sifted.reached:,} captions that score {threshold:.4f}, the validation mean, or more, "
        f"{sifted.copies:,} say what is there already and {sifted.capped:,} are of pictures that "
        "have their share of generated captions"
    )
