"""A long film of 1920 x 1080, taken in as people do it, at the terminal: in memory, and killed.

Makes a film with sound, of scenes of the sample collection with grain, over which a camera moves;
five minutes of it are written once and repeated. Prints how fast it is decoded alone; what `mrag
ingest` takes in time and memory, a look each second at its process; and the same in another home,
killed by the system once a third of the film was watched and again at two thirds: what was kept,
whether shots and points are those of the ingest that nobody disturbed, and whether anything was
encoded again that had been kept.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random
from time import perf_counter, sleep

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from benchmarks.app_load import resident_mib
from corpus.ledger import Ledger
from corpus.shards import Shard
from engine.app import build_engine
from engine.collection import CollectionFolder
from engine.settings import SAMPLE_PACK, Settings
from engine.video.container import Video

FULL = (1920, 1080)
WIDER = 480
"""Pixels of a scene's picture that the camera has yet to move over."""

SEGMENT_S = 300
NAME = "film"
Pixels = NDArray[np.uint8]


def write_long_film(path: Path, minutes: float, fps: Fraction = Fraction(25)) -> int:
    """A film of moving scenes in 1920 x 1080 with sound; gives its frames."""
    seconds = min(60 * minutes, SEGMENT_S)
    segment = path.with_name("segment.mp4")
    frames = _write_segment(segment, seconds, fps)
    times = max(1, round(60 * minutes / seconds))
    _repeated(segment, path, times)
    segment.unlink()
    return frames * times


def _write_segment(path: Path, seconds: float, fps: Fraction) -> int:
    count = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = FULL
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "23", "g": "250"}
        for count, pixels in enumerate(_scenes(seconds, fps), 1):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = count - 1, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return count


def _scenes(seconds: float, fps: Fraction) -> Iterator[Pixels]:
    names = sorted((SAMPLE_PACK / "plain" / "images").iterdir())
    rng, grain = Random(1), np.random.default_rng(1)
    left = round(seconds * fps)
    while left > 0:
        picture = Image.open(rng.choice(names)).convert("RGB")
        wide = picture.resize((FULL[0] + WIDER, FULL[1]), Image.Resampling.BILINEAR)
        pixels = np.asarray(wide) + grain.normal(0, 4, (FULL[1], FULL[0] + WIDER, 1))
        whole = np.clip(pixels, 0, 255).astype(np.uint8)
        frames = min(left, round(rng.uniform(2, 9) * fps))
        for number in range(frames):
            shift = WIDER * number // frames
            yield np.ascontiguousarray(whole[:, shift : shift + FULL[0]])
        left -= frames


def _repeated(segment: Path, path: Path, times: int) -> None:
    """The packets of a film, over and over, and silence for as long."""
    with av.open(str(path), "w") as out:
        with av.open(str(segment)) as first:
            film = out.add_stream_from_template(first.streams.video[0])
        sound = out.add_stream("aac", rate=44_100, layout="mono")
        assert isinstance(sound, AudioStream)
        silence = _Silence(sound)
        offset = 0
        for _ in range(times):
            end = 0
            with av.open(str(segment)) as again:
                source = again.streams.video[0]
                for packet in again.demux(source):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    until = float(packet.pts * (source.time_base or 0))
                    packet.stream = film
                    out.mux(packet)
                    out.mux(silence.until(until))
            offset += end


class _Silence:
    def __init__(self, stream: AudioStream) -> None:
        self._stream, self._at = stream, 0

    def until(self, seconds: float) -> list[Packet[AudioStream]]:
        """The packets up to a moment."""
        found: list[Packet[AudioStream]] = []
        while self._at < seconds * 44_100:
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.sample_rate, frame.pts = 44_100, self._at
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            found += self._stream.encode(frame)
            self._at += 1024
        return found


@dataclass
class Ingest:
    """An ingest as it was seen from outside: a look each second.

    `looks`: how much of the film was watched, as a share, and MiB of memory.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    looks: list[tuple[float, float]] = field(default_factory=list)
    report: dict[str, object] | None = None

    @property
    def peaks(self) -> list[float]:
        """The peak in each quarter of the film, and after it."""
        found = [0.0] * 5
        for share, mib in self.looks:
            at = min(4, int(4 * share)) if share < 1 else 4
            found[at] = max(found[at], mib)
        return found


def ingested(home: Path, film: Path, seconds: float, kill_at: float = 2.0) -> Ingest:
    """Run `mrag ingest`; killed once that share of the film was watched."""
    command = [sys.executable, "-m", "mrag", "ingest", str(film), "-c", NAME]
    command += ["--memory", "plain", "--json"]
    seen, started, cpu = Ingest(), perf_counter(), _cpu()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(
            command, stdout=out, stderr=subprocess.DEVNULL, env=_environment(home)
        )
        while child.poll() is None:
            share = min(1.0, _watched(home) / seconds)
            with suppress(OSError, StopIteration):
                seen.looks.append((share, resident_mib(child.pid)))
            if share >= kill_at:
                child.send_signal(signal.SIGKILL)
                child.wait()
                break
            sleep(1)
        out.seek(0)
        lines = out.read().splitlines()
        seen.report = json.loads(lines[-1]) if lines else None
    seen.seconds, seen.cpu = perf_counter() - started, _cpu() - cpu
    return seen


def _environment(home: Path) -> dict[str, str]:
    return os.environ | {"MRAG_HOME": str(home), "MRAG_PROFILE": "sample", "HF_HUB_OFFLINE": "1"}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watched(home: Path) -> float:
    """How far the film was watched, in seconds: 0 before it was begun."""
    place = CollectionFolder(home, NAME).videos
    if not place.exists():
        return 0.0
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as db:
        (whole,) = db.execute("select count(*) from video where whole = 1").fetchone()
        (end,) = db.execute("select max(end_ms) from shot").fetchone()
        return float("inf") if whole else (end or 0) / 1000
    return 0.0


def kept(home: Path) -> dict[str, NDArray[np.float16]]:
    """The vectors of the shots that are safe on disk, by their names."""
    found = {}
    folder = CollectionFolder(home, NAME)
    with Ledger.read(folder) as ledger:
        for file in ledger.shards():
            shard = Shard(file)
            rows = ledger.live(file.number).pictures
            for row, entry in zip(rows, shard.entries(rows), strict=True):
                found[entry.image_id] = shard.images[row]
    return found


def points(home: Path) -> dict[str, tuple[str, ...]]:
    """What the index has of each point."""
    engine = build_engine(Settings(home=home, profile="sample", device="cpu"))
    try:
        images = engine.open(NAME).images
        return {hit.id: (hit.uri, *hit.captions) for hit in images.get([*images.ids()])}
    finally:
        engine.close()


def decoded(film: Path) -> float:
    """Seconds in which all frames are decoded, and nothing else is done."""
    started = perf_counter()
    with Video(film) as video:
        for _ in video.frames():
            pass
    return perf_counter() - started


def measure(film: Path, base: Path) -> None:
    """Print all that is measured of a film; homes are made in `base`."""
    with av.open(str(film)) as container:
        frames = container.streams.video[0].frames
    with Video(film) as video:
        seconds = video.duration or 0.0
    print(
        f"{seconds / 60:.0f} minutes, 1920 x 1080, {frames:,} frames, "
        f"{film.stat().st_size / 1e9:.2f} GB, {os.cpu_count()} cores\n"
    )
    print("| | seconds | frames/s | CPU s | peak of memory, MiB, by quarters of the film | after |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    took = decoded(film)
    print(f"| decoding alone | {took:.0f} | {frames / took:.0f} | | | |", flush=True)
    command = [sys.executable, "-m", "mrag", "demo"]
    made = base / "demo"
    subprocess.run(command, check=True, capture_output=True, env=_environment(made))
    homes = [base / "whole", base / "killed"]
    for home in homes:
        shutil.copytree(made, home)
    whole = ingested(homes[0], film, seconds)
    _print_row("ingest", whole, frames)
    told = []
    for share in (1 / 3, 2 / 3):
        run = ingested(homes[1], film, seconds, share)
        _print_row(f"killed at {share:.0%}", run, frames)
        told.append(
            f"killed when {run.looks[-1][0]:.0%} was watched: {len(kept(homes[1]))} shots kept"
        )
    last_kept = len(kept(homes[1]))
    again = ingested(homes[1], film, seconds)
    _print_row("resumed", again, frames)
    _print_same(homes, told, last_kept, again)


def _print_row(name: str, run: Ingest, frames: int) -> None:
    rate = f"{frames / run.seconds:.0f}" if name == "ingest" else ""
    *quarters, after = (f"{one:,.0f}" for one in run.peaks)
    peaks = f"{', '.join(quarters)} | {after}"
    print(f"| {name} | {run.seconds:.0f} | {rate} | {run.cpu:.0f} | {peaks} |", flush=True)


def _print_same(homes: list[Path], told: list[str], last_kept: int, again: Ingest) -> None:
    first, second = (kept(home) for home in homes)
    report = again.report or {}
    apart = max(
        (float(np.abs(first[one] - second[one]).max()) for one in first.keys() & second.keys()),
        default=0.0,
    )
    one, other = (points(home) for home in homes)
    print("\n" + "\n".join(f"- {line}" for line in told))
    print(f"- then encoded: {report.get('embedded')}, left alone: {report.get('unchanged')}")
    print(f"- kept before, and encoded again: {last_kept - int(str(report.get('unchanged', 0)))}")
    print(f"- shots: {len(first)} and {len(second)}, same: {first.keys() == second.keys()}")
    print(f"- vectors differ by {apart:.4f} at most")
    print(f"- points: {len(one)} and {len(other)}, same with captions: {one == other}")
