"""How many pictures a second are described into files, beside the same described and no more.

`python -m benchmarks.takeaway HOME COLLECTION FOLDER`: turn by turn, over the same pictures and one
engine, `mrag caption`'s way and `mrag describe`'s with a table, XMP sidecars and text files; then
once more, where all of it is there already.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

from engine.app import build_engine
from engine.settings import Settings
from mrag_client.answers import NamedPicture
from mrag_client.models import CaptionOptions, Failure
from service.answering import LocalAnswers
from service.takeaway.describing import Takeaway
from service.takeaway.outputs import Output
from service.takeaway.pictures import pictures_of
from service.takeaway.sidecars import TextSidecars, XmpSidecars
from service.takeaway.tables import TableFile

_ROUNDS = 5


def main(home: Path, collection: str, source: Path) -> None:
    """Measure and print."""
    engine = build_engine(Settings(home=home))
    answers = LocalAnswers(engine)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(shutil.copytree(source, Path(made) / "pictures"))
        pictures = list(pictures_of([folder], print))
        captioned(answers, pictures[:16], collection)  # what is loaded once
        rates: dict[str, list[float]] = {"caption": [], "describe": [], "describe again": []}
        for number in range(_ROUNDS):
            out = Path(made) / f"{number}.jsonl"
            for path in folder.rglob("*.*"):
                if path.suffix in {".xmp", ".txt"}:
                    path.unlink()
            for name, work in (
                ("caption", captioned),
                ("describe", written_to(out)),
                ("describe again", written_to(out)),
            ):
                began = perf_counter()
                work(answers, pictures, collection)
                rates[name].append(len(pictures) / (perf_counter() - began))
    engine.close()
    for name, found in rates.items():
        told = ", ".join(f"{rate:.1f}" for rate in found)
        print(f"{name}: {statistics.median(found):.1f} pictures/s (median of {told})")


def captioned(answers: LocalAnswers, pictures: Sequence[Path], collection: str) -> None:
    """Describe pictures as `mrag caption` does."""
    named = [NamedPicture(str(one), one) for one in pictures]
    for answer in answers.caption(named, CaptionOptions(), collection=collection):
        assert not isinstance(answer, Failure), answer


def written_to(out: Path) -> Callable[[LocalAnswers, Sequence[Path], str], None]:
    """Describe pictures into that file and beside the pictures, as `mrag describe` does."""

    def work(answers: LocalAnswers, pictures: Sequence[Path], collection: str) -> None:
        outputs: list[Output] = [TableFile(out, "skip"), XmpSidecars("skip"), TextSidecars("skip")]
        takeaway = Takeaway(answers, outputs, collection=collection, tell=print)
        takeaway.run(pictures)
        for output in outputs:
            output.close(done=True)
        assert takeaway.counts.failed == 0

    return work


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
