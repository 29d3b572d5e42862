"""How well shots of videos are found, how fast videos are taken in, and in how much memory.

    python -m benchmarks.video shots [FOLDER]
    python -m benchmarks.video speed --minutes 2
    python -m benchmarks.video memory --minutes 5 20 [--fps 25] [--alone]

`shots` makes films of the sample collection's pictures (or of those in FOLDER), of which it is
known when each scene begins, and prints how many beginnings are found within half a second, how
far off they are, how many are found where none is, and both of PySceneDetect's
detector alone. `speed` and `memory` make a film of
1920 x 1080 whose scenes move; `speed` decodes it, finds its shots and ingests it with the sample's
encoder, `memory` prints the peak of an ingest in a process of its own; `--alone`: of finding its
shots.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter, process_time

from PIL import Image
from scenedetect import AdaptiveDetector, FrameTimecode

from benchmarks.films import Film, Part, write_film
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

FULL = (1920, 1080)
PLAIN = Film()


@dataclass(frozen=True)
class Case:
    """A kind of film; `lengths` of scenes in seconds."""

    name: str
    fade: float = 0.0
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
        parts.append(Part(picture, seconds, case.fade if number else 0.0, case.drift))
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


def full_film(path: Path, minutes: float, fps: int = 25) -> int:
    """A film of moving scenes in 1920 x 1080; gives its frames.

    Its first twenty seconds are written once, and repeated.
    """
    names = sorted((SAMPLE_PACK / "plain" / "images").iterdir())
    rng = Random(1)
    parts = [
        Part(Image.open(rng.choice(names)).convert("RGB"), seconds, drift=0.2)
        for seconds in (4.0, 3.0, 5.0, 8.0)
    ]
    begin = path.with_name("begin.mp4")
    write_film(begin, parts, Film(size=FULL, fps=fps))
    times = max(1, round(3 * minutes))
    _repeated(begin, path, times)
    return times * 20 * fps


def _repeated(source: Path, target: Path, times: int) -> None:
    """The packets of a film, over and over."""
    import av

    with av.open(str(target), "w") as out:
        with av.open(str(source)) as first:
            stream = out.add_stream_from_template(first.streams.video[0])
        offset = 0
        for _ in range(times):
            end = 0
            with av.open(str(source)) as again:
                for packet in again.demux(again.streams.video[0]):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = stream
                    out.mux(packet)
            offset += end


def speed(minutes: float) -> None:
    """Print frames a second of decoding, of finding shots, and of a whole ingest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        frames = full_film(path, minutes)
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


def memory(minutes: Sequence[float], fps: int, *, alone: bool) -> None:
    """Print the peak of an ingest, or of watching alone, by the length of its film."""
    print("| minutes | shots | peak of memory | seconds |")
    print("| --- | --- | --- | --- |")
    for length in minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "film.mp4")
            full_film(path, length, fps)
            kind = "watched" if alone else "one"
            command = [sys.executable, "-m", "benchmarks.video", kind, str(path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"| {length:g} | {done.stdout.strip()} |", flush=True)


def one(path: Path) -> None:
    """Ingest a film here, and print its shots, the peak of memory and how long it took."""
    started = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        engine = build_engine(Settings(home=Path(folder), profile="sample", device="cpu"))
        report = filling.fill(
            engine, open_source(path), "film", models=filling.specs(engine, "film")
        )
        engine.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{report.pictures} | {peak:,.0f} MiB | {perf_counter() - started:.0f}")


def watched(path: Path) -> None:
    """Find the shots of a film here, and print what `one` does."""
    started = perf_counter()
    with Video(path) as video:
        count = sum(1 for _ in ShotReader(video))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} | {peak:,.0f} MiB | {perf_counter() - started:.0f}")


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
    large.add_argument("--minutes", type=float, nargs="+", default=[5, 20])
    large.add_argument("--fps", type=int, default=25)
    large.add_argument("--alone", action="store_true", help="find shots alone, without models")
    kinds.add_parser("watched").add_argument("path", type=Path)
    kinds.add_parser("one").add_argument("path", type=Path)
    given = parser.parse_args()
    if given.kind == "shots":
        shots(given.folder, given.scenes, given.films)
    elif given.kind == "speed":
        speed(given.minutes)
    elif given.kind == "memory":
        memory(given.minutes, given.fps, alone=given.alone)
    elif given.kind == "watched":
        watched(given.path)
    else:
        one(given.path)


if __name__ == "__main__":
    main()
