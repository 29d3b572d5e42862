"""The records of refinement rounds, and what a collection was before each of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from corpus.ledger import Ledger
from corpus.parquet import shard_files
from engine.alignment.alignment import Alignment
from engine.collection import CollectionFolder
from engine.errors import StoreUnavailable
from engine.files import remove_partials, write_whole
from evaluation.metrics.intervals import Difference

State = Literal["trial", "kept", "withdrawn", "empty"]


@dataclass(frozen=True)
class Round:
    """One round of refinement.

    `state`: `trial` until it has been validated, then `kept` or `withdrawn`, and why; `empty` if
    nothing was good enough. Of the `written` captions, one for each training picture, `reached`
    scored `threshold` or more; of these `copies` say what is there already, `capped` are of
    pictures that have their share, and `added` were added. `before` and `after` are validation
    means of `metric` over the pictures of `split` (val, where a record does not say); `gain` is
    `after` minus the mean so far, with its 95 % interval over these pictures. `copy_cosine` is the
    cosine above which captions count as copies.
    """

    number: int
    state: State
    metric: str
    began: str
    before: float
    threshold: float
    written: int
    reached: int
    copies: int
    capped: int
    added: int
    copy_cosine: float
    writer: str
    after: float | None = None
    gain: Difference | None = None
    split: str = "val"
    seconds: float = 0.0
    reason: str = ""


_ROUNDS = TypeAdapter(list[Round])


def read_rounds(folder: CollectionFolder) -> list[Round]:
    """The records of all rounds, in order; raises StoreUnavailable for a damaged file."""
    path = _records(folder)
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return _ROUNDS.validate_python([json.loads(line) for line in lines])
    except (OSError, ValueError, ValidationError) as error:
        raise StoreUnavailable(
            f"the records of refinement rounds in {path} cannot be read ({error}); delete that "
            f"file and {folder.rounds} to go on without the rounds"
        ) from error


def write_rounds(folder: CollectionFolder, rounds: Sequence[Round]) -> None:
    """Write the records, all or none."""
    lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in rounds)
    path = _records(folder)
    remove_partials(folder.path, of=path.name)
    write_whole(path, "".join(lines))


def note_rounds(folder: CollectionFolder, noted: Sequence[Round]) -> None:
    """Write the records of rounds at once, in place of earlier ones of their numbers."""
    records = {one.number: one for one in [*read_rounds(folder), *noted]}
    write_rounds(folder, [records[number] for number in sorted(records)])


def settle_rounds(folder: CollectionFolder, state: State, reasons: Mapping[int, str]) -> None:
    """Give rounds a state, each for its reason, all at once."""
    settled = [one for one in read_rounds(folder) if one.number in reasons]
    note_rounds(folder, [replace(one, state=state, reason=reasons[one.number]) for one in settled])


def standing_rounds(folder: CollectionFolder) -> list[Round]:
    """The rounds whose captions are in the collection: kept, or on trial."""
    return [one for one in read_rounds(folder) if one.state in {"kept", "trial"} and one.added]


def kept_by(folder: CollectionFolder) -> tuple[str, ...]:
    """The splits whose pictures decided which rounds were kept."""
    return tuple(sorted({one.split for one in read_rounds(folder) if one.state == "kept"}))


# What a collection was before a round: its map, its moments, and what these were fitted on.


def keep_before(folder: CollectionFolder, ledger: Ledger, number: int) -> None:
    """Keep copies of what a round will change, until the round is withdrawn."""
    place = _before(folder, number)
    partial = _partial(place)
    forget_before(folder, number)
    partial.mkdir(parents=True)
    for path in (folder.alignment, folder.moments):
        if path.is_file():
            shutil.copy(path, partial / path.name)
    write_whole(partial / "state.json", json.dumps(_state(folder, ledger)))
    partial.rename(place)


def put_back(folder: CollectionFolder, ledger: Ledger, number: int) -> bool:
    """Put back what was before a round, bit for bit, if all else is as it was; and whether it is.

    A picture, a caption or another map that came since makes it wrong: then nothing is done.
    """
    place = _before(folder, number)
    if not place.is_dir():
        return False
    state = json.loads((place / "state.json").read_text(encoding="utf-8"))
    if state != _state(folder, ledger):
        return False
    for path in (folder.moments, folder.alignment):
        kept = place / path.name
        if kept.is_file():
            remove_partials(folder.path, path.name)
            write_whole(path, kept.read_bytes())
        else:
            path.unlink(missing_ok=True)
    return True


def unfinished(folder: CollectionFolder) -> list[int]:
    """Withdrawn rounds of which something is left on disk: an undo was cut short."""
    return [
        one.number
        for one in read_rounds(folder)
        if one.state == "withdrawn"
        and (round_shard(folder, one.number) or _before(folder, one.number).exists())
    ]


def forget_before(folder: CollectionFolder, number: int) -> None:
    """Remove the copies that were kept before a round."""
    place = _before(folder, number)
    partial = _partial(place)
    shutil.rmtree(partial, ignore_errors=True)
    if place.is_dir():
        # At once: the half that a kill leaves would be put back as if it were all there was.
        shutil.rmtree(place.rename(partial))


def round_shard(folder: CollectionFolder, number: int) -> Path | None:
    """The file with the captions that a round added, None where it added none."""
    file = shard_files(folder.rounds).get(number)
    return file.path if file else None


def asked_for(folder: CollectionFolder) -> dict[str, Any] | None:
    """What the collection's map was asked for; None without one."""
    if not folder.alignment.is_file():
        return None
    return Alignment.load(folder.alignment).fitted_on.get("request")


def _state(folder: CollectionFolder, ledger: Ledger) -> dict[str, Any]:
    return {
        "request": asked_for(folder),
        "commit": ledger.last_commit(),
        "rounds": ledger.refined.rounds(),
    }


def _before(folder: CollectionFolder, number: int) -> Path:
    return folder.rounds / f"before-{number:05d}"


def _partial(place: Path) -> Path:
    """Where copies lie that are not whole; the ledger clears them away when it is opened."""
    return place.with_name(f".{place.name}.partial")


def _records(folder: CollectionFolder) -> Path:
    return folder.path / "rounds.jsonl"
