"""How many threads a model runs on, and that those which wait do not spin."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch

from engine.models import device
from engine.models.device import choose_threads, use_threads
from engine.models.encoder import load_encoder
from engine.models.generator import load_generator
from engine.settings import SAMPLE_PACK
from engine.types import Decoding


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(device, "most_threads", lambda: 8)


def model_of(weights: int) -> torch.nn.Module:
    return torch.nn.Linear(1, weights, bias=False, device="meta")


@pytest.mark.parametrize(
    ("weights", "threads"),
    [(1_000_000, 1), (15_000_000, 1), (60_000_000, 6), (150_000_000, 8), (800_000_000, 8)],
)
def test_a_small_model_gets_few_threads(weights: int, threads: int) -> None:
    assert choose_threads(model_of(weights), asked=0) == threads


def test_what_the_user_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_threads(model_of(1), asked=3) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert choose_threads(model_of(1), asked=0) == 8
    assert choose_threads(model_of(1), asked=2) == 2


def test_each_model_runs_on_its_own_number_whatever_ran_before() -> None:
    one = load_encoder(f"local-dir:{SAMPLE_PACK / 'clip'}", device="cpu")
    three = load_generator(str(SAMPLE_PACK / "t5"), device="cpu", threads=3)

    def alternate() -> list[int]:
        found = []
        for _ in range(2):
            one.encode_texts(["two dogs"])
            found.append(torch.get_num_threads())
            three.generate(["two dogs"], 1, Decoding(max_new_tokens=2))
            found.append(torch.get_num_threads())
        return found

    with ThreadPoolExecutor(2) as pool:  # torch keeps the number by thread: not this test's own
        for numbers in [pool.submit(alternate), pool.submit(alternate)]:
            assert numbers.result() == [1, 3, 1, 3]


def test_a_new_thread_keeps_its_own_number_though_another_sets_one_before_it_begins() -> None:
    chosen, set_elsewhere = Event(), Event()

    def mine() -> int:
        use_threads(1)
        chosen.set()
        assert set_elsewhere.wait(30)
        return torch.get_num_threads()

    def others() -> None:
        assert chosen.wait(30)
        use_threads(3)
        set_elsewhere.set()

    with ThreadPoolExecutor(2) as pool:
        found, done = pool.submit(mine), pool.submit(others)
        done.result()
        assert found.result() == 1


@pytest.mark.parametrize(("given", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "A"}, "A")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(
    given: dict[str, str], policy: str
) -> None:
    told = "import sys, os, engine.models.loaded; "
    told += "print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    environment = {name: text for name, text in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", told],
        check=True,
        env=environment | given,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["False", policy]
