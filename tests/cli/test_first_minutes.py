"""The first commands with models of the hub, from an empty cache, in all weathers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

from benchmarks import real_size_encoders, real_size_generators
from engine.settings import PROFILES, SAMPLE_PACK
from tests.cli.conftest import PACK, ROOT, Done, Run
from tests.hub import ModelHub, Weather, cache_folder

CLIP, T5 = "hf-hub:org/clip", "org/t5"
MODELS = ("--encoder", CLIP, "--generator", T5)
DAMAGED = 100_000


@pytest.fixture
def stocked(hub: ModelHub) -> ModelHub:
    """The sample's tiny models under names of the hub."""
    hub.add_folder("org/t5", SAMPLE_PACK / "t5")
    hub.add_folder("org/clip", SAMPLE_PACK / "clip")
    hub.add_folder("sample-world", SAMPLE_PACK / "clip")
    return hub


def source(count: int = 40) -> list[str | Path]:
    return [PACK / "plain" / "captions.jsonl", "--split", "train", "--limit", str(count)]


def test_from_an_empty_cache_to_a_description(
    mrag: Run, stocked: ModelHub, tmp_path: Path, held_out: list[Path]
) -> None:
    looked = mrag("doctor", *MODELS, at=tmp_path)
    assert looked.code == 0
    assert f"{T5} is not here yet; the first use fetches it ({stocked.size(T5)})" in looked.out
    filled = mrag("ingest", *source(), "-c", "album", *MODELS, at=tmp_path)
    assert filled.code == 0, filled.err
    assert filled.err.count("fetch open_clip_model.safetensors (clip)") == 1
    described = mrag("caption", held_out[0], "--json", at=tmp_path)
    assert described.answers[0]["caption"]
    told = [line for line in described.err.splitlines() if "fetch" in line]
    assert sum(line.startswith("fetch model.safetensors (t5)") for line in told) == 1
    assert len(told) == len(stocked.repositories[T5])  # a line a file, and none of the loaders'
    asked = len(stocked.asked)
    again = mrag("caption", held_out[0], "--json", at=tmp_path)
    assert again.answers[0]["caption"] == described.answers[0]["caption"]
    assert len(stocked.asked) == asked


@pytest.mark.parametrize(
    ("place", "weather", "words"),
    [
        ("GET open_clip_model.safetensors", Weather(wrong=True), "not the file expected"),
        ("HEAD", Weather(403, code="GatedRepo"), "accepted its licence"),
        ("api", Weather(401), "hf auth login"),
        ("api", Weather(404), "hf download org/clip"),
    ],
)
def test_bad_weather_is_told_with_the_remedy(
    mrag: Run, stocked: ModelHub, tmp_path: Path, place: str, weather: Weather, words: str
) -> None:
    stocked.weather[place] = weather
    done = mrag("ingest", *source(4), "-c", "album", *MODELS, at=tmp_path)
    assert done.code == 3
    assert words in done.err
    assert "bug" not in done.err


@pytest.mark.usefixtures("stocked")
def test_one_command_mends_damaged_files(mrag: Run, tmp_path: Path) -> None:
    assert mrag("doctor", "--repair", *MODELS, at=tmp_path).code == 0  # which fetches them
    (weights,) = (tmp_path / "hf").rglob("snapshots/*/model.safetensors")
    whole = weights.read_bytes()
    weights.resolve().write_bytes(whole[:DAMAGED])
    broken = mrag("doctor", *MODELS, at=tmp_path)
    assert broken.code == 3
    assert f"mrag doctor --repair --generator {T5}" in broken.out
    mended = mrag("doctor", "--repair", "--generator", T5, "--encoder", CLIP, at=tmp_path)
    assert mended.code == 0
    assert "fetched again" in mended.out
    assert weights.read_bytes() == whole


@pytest.fixture(scope="module")
def real_sizes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default profile's models: random weights of the right names, formats and sizes."""
    made = tmp_path_factory.mktemp("real")
    real_size_encoders.build("ViT-B-32", made / "clip")
    real_size_generators.build("base", made / "t5")
    return made


@pytest.mark.slow
def test_the_default_profile_at_real_size(
    hub: ModelHub, real_sizes: Path, tmp_path: Path, held_out: list[Path]
) -> None:
    """Killed, slow, cut, and then offline: 1.6 GB are fetched once."""
    clip = "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"
    assert PROFILES["fast"] == ("ViT-B-32/datacomp_xl_s13b_b90k", "google/flan-t5-base")
    hub.add_folder(clip, real_sizes / "clip")
    hub.add_folder("google/flan-t5-base", real_sizes / "t5")
    weights = real_sizes / "clip" / "open_clip_model.safetensors"
    online = hub.environment(tmp_path / "hf")
    place = cache_folder(tmp_path / "hf", clip) / "blobs"

    hub.weather[f"GET {weights.name}"] = Weather(bytes_per_s=100_000_000, times=1)
    first = start(tmp_path, online, "ingest", *source(8), "-c", "album")
    while not any(part.stat().st_size > 10**8 for part in place.glob("*.part")):
        assert first.poll() is None
        sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.communicate()

    hub.weather[f"GET {weights.name}"] = Weather(cut=4 * 10**8, times=1)
    filled = finish(start(tmp_path, online, "ingest", *source(8), "-c", "album"))
    assert filled.code == 0, filled.err
    described = finish(start(tmp_path, online, "caption", held_out[0], "--json"))
    assert described.answers[0]["image"] == str(held_out[0])
    sent = [one.range for one in hub.sent(f"/cdn/{clip}/resolve/main/{weights.name}")]
    assert len(sent) == 3
    assert sent[0] == ""
    assert int(sent[1].removeprefix("bytes=").rstrip("-")) > 10**8
    assert sent[2] == "bytes=400000000-"

    asked = len(hub.asked)
    offline = online | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    for environment in (online, offline):
        again = finish(start(tmp_path, environment, "caption", held_out[0], "--json"))
        assert again.answers[0]["caption"] == described.answers[0]["caption"]
    assert len(hub.asked) == asked
    assert not list((tmp_path / "hf").rglob("*.part"))


def start(home: Path, environment: dict[str, str], *args: str | Path) -> subprocess.Popen[str]:
    known = {"MRAG_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(home)}
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return subprocess.Popen(
        [sys.executable, "-m", "mrag", *map(str, args)],
        cwd=ROOT,
        env=known | threads | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Done:
    out, err = process.communicate(timeout=900)
    return Done(process.returncode, out, err)
