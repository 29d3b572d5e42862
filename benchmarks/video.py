"""How well shots of videos are found, how fast videos are taken in, and in how much memory.

    python -m benchmarks.video shots [FOLDER]
    python -m benchmarks.video speed --minutes 2
    python -m benchmarks.video memory --minutes 60 [--fps 30000/1001] [--keep film.mp4]

`shots` makes films of the sample collection's pictures (or of those in FOLDER), of which it is
known when each scene begins, and prints how many beginnings are found within half a second, how
far off they are, how many are found where none is, and both of PySceneDetect's
detector alone. `speed` and `memory` make a film of 1920 x 1080 with sound, whose scenes move;
`speed` decodes it, finds its shots and ingests it with the sample's encoder; `memory` ingests it
at the terminal, looks each second how much memory that takes, kills it twice, has it go on, and
holds what came of it against an ingest that nobody disturbed (`benchmarks.long_film`).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from time import perf_counter, process_time

from PIL import Image
from scenedetect import AdaptiveDetector, FrameTimecode

from benchmarks.films import Film, Part, write_film
from benchmarks.long_film import measure, write_long_film
from engine.app import build_engine
from engine.images import SUFFIXES
from engine.settings import SAMPLE_PACK, Settings
from engine.video.container import Video
from ingest import filling
from ingest.readers import open_source
from ingest.video.boundaries import WIDTH
from ingest.video.shots import ShotReader

WITHIN = 0.5
"""Seconds that a beginning may be off."""

PLAIN = Film()


@dataclass(frozen=True)
class Case:
    """A kind of film; `lengths` of scenes in seconds, `cuts`: every other scene is cut to."""

    name: str
    fade: float = 0.0
    cuts: bool = False
    drift: float = 0.05
    lengths: tuple[float, float] = (1.0, 6.0)
    how: Film = PLAIN


CASES = (
    Case("hard cuts"),
    Case("hard cuts, moving fast, grainy", drift=0.4, how=Film(noise=4.0)),
    Case("hard cuts, uneven frames", how=Film(uneven=True)),
    Case("hard cuts, flashes each 5 s", how=Film(flashes=tuple(2.3 + 5 * at for at in range(60)))),
    Case("cross-fades of 0.5 s", fade=0.5, lengths=(3.0, 8.0)),
    Case("cross-fades of 1 s", fade=1.0, lengths=(4.0, 8.0)),
    Case("cross-fades of 2 s", fade=2.0, lengths=(6.0, 10.0)),
    Case("cuts and cross-fades of 1 s in turn", fade=1.0, cuts=True, lengths=(2.0, 5.0)),
)


def shots(folder: Path, scenes: int, films: int) -> None:
    """Print what is found of the beginnings that are known."""
    names = sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES)
    print("| films | scenes | found | off by, mean | at most | where none is | adaptive alone |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        known, offs, more, alone, alone_more = 0, list[float](), 0, 0, 0
        for seed in range(films):
            true, found, adaptive = _film(case, names, scenes, seed)
            hits, hits_alone = _offs(true, found), _offs(true, adaptive)
            known, offs = known + len(true), offs + hits
            more += len(found) - len(hits)
            alone += len(hits_alone)
            alone_more += len(adaptive) - len(hits_alone)
        mean, most = sum(offs) / max(1, len(offs)), max(offs, default=0.0)
        print(
            f"| {case.name} | {known} | {len(offs)} | {mean:.3f} s | {most:.2f} s | {more} | "
            f"{alone}, and {alone_more} |",
            flush=True,
        )


def _offs(true: Sequence[float], found: Sequence[float]) -> list[float]:
    """How far off those beginnings are that are found."""
    near = [min((abs(one - at) for one in found), default=9.0) for at in true]
    return [one for one in near if one <= WITHIN]


def _film(
    case: Case, names: Sequence[Path], scenes: int, seed: int
) -> tuple[list[float], list[float], list[float]]:
    """When scenes begin, but the first: as it is, as it is found, and by PySceneDetect alone."""
    rng = Random(seed)
    parts = []
    for number in range(scenes):
        picture = Image.open(rng.choice(names)).convert("RGB")
        seconds = round(rng.uniform(*case.lengths), 2)
        fades = number > 0 and not (case.cuts and number % 2)
        parts.append(Part(picture, seconds, case.fade if fades else 0.0, case.drift))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        begins = write_film(path, parts, case.how)
        with Video(path) as video:
            found = [shot.start_ms / 1000 for shot in ShotReader(video)]
        return begins[1:], found[1:], _adaptive(path)


def _adaptive(path: Path) -> list[float]:
    """What PySceneDetect's adaptive detector finds as it comes, half a second apart at least."""
    detector, times, found = AdaptiveDetector(min_scene_len=12), list[float](), list[float]()
    with Video(path) as video:
        for number, frame in enumerate(video.frames()):
            times.append(frame.time)
            cuts = detector.process_frame(FrameTimecode(number, 25.0), frame.glance(WIDTH))
            found += [times[cut.frame_num] for cut in cuts]
    return found


def speed(minutes: float) -> None:
    """Print frames a second of decoding, of finding shots, and of a whole ingest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        frames = write_long_film(path, minutes)
        rows = [("decoding alone", *_timed(lambda: _decoded(path)))]
        rows.append(("decoding, finding shots, keeping frames", *_timed(lambda: _watched(path))))
        engine = build_engine(Settings(home=Path(folder, "home"), profile="sample", device="cpu"))
        spec, _ = filling.specs(engine, "film")
        engine.models.encoder(spec).encode_texts(["warm"])
        rows.append(("whole ingest", *_timed(lambda: _ingested(engine, path))))
        engine.close()
    print(f"1920 x 1080, H.264, {frames:,} frames, {os.cpu_count()} cores\n")
    print("| step | frames/s | frames per second of CPU |")
    print("| --- | --- | --- |")
    for name, wall, cpu in rows:
        print(f"| {name} | {frames / wall:.0f} | {frames / cpu:.0f} |")


def _timed(work: object) -> tuple[float, float]:
    assert callable(work)
    wall, cpu = perf_counter(), process_time()
    work()
    return perf_counter() - wall, process_time() - cpu


def _decoded(path: Path) -> None:
    with Video(path) as video:
        for _ in video.frames():
            pass


def _watched(path: Path) -> None:
    with Video(path) as video:
        print(f"{sum(1 for _ in ShotReader(video))} shots", file=sys.stderr)


def _ingested(engine: object, path: Path) -> None:
    from engine.app import Engine

    assert isinstance(engine, Engine)
    filling.fill(engine, open_source(path), "film", models=filling.specs(engine, "film"))


def memory(minutes: float, fps: Fraction, keep: Path | None) -> None:
    """Print what an ingest takes, and what becomes of one that is killed."""
    with tempfile.TemporaryDirectory() as folder:
        film = keep or Path(folder, "film.mp4")
        if not film.exists():
            write_long_film(film, minutes, fps)
        measure(film, Path(folder))


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    kinds = parser.add_subparsers(dest="kind", required=True)
    found = kinds.add_parser("shots")
    found.add_argument("folder", nargs="?", type=Path, default=SAMPLE_PACK / "plain" / "images")
    found.add_argument("--scenes", type=int, default=20)
    found.add_argument("--films", type=int, default=5)
    quick = kinds.add_parser("speed")
    quick.add_argument("--minutes", type=float, default=2)
    large = kinds.add_parser("memory")
    large.add_argument("--minutes", type=float, default=60)
    large.add_argument("--fps", type=Fraction, default=Fraction(25))
    large.add_argument("--keep", type=Path, help="where the film is kept, or taken from")
    given = parser.parse_args()
    if given.kind == "shots":
        shots(given.folder, given.scenes, given.films)
    elif given.kind == "speed":
        speed(given.minutes)
    else:
        memory(given.minutes, given.fps, given.keep)


if __name__ == "__main__":
    main()
