"""What follows corrections in the background, in the right order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ingest.differing import Differing, Looked
from ingest.jobs.learner import Learner

DIFFERS = Differing("sha", "an id", "a.jpg", "Now.", "Then.")


def test_what_differs_is_described_again_though_nobody_had_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, described = [Looked(1, (DIFFERS,)), Looked(1, ())], []

    def again(*args: object) -> None:
        described.append(args[-1])

    monkeypatch.setattr("ingest.jobs.learner.look", lambda _: looks.pop(0))
    monkeypatch.setattr("ingest.jobs.learner.describe_differing", again)
    opened = SimpleNamespace(folder=None)
    engine: Any = SimpleNamespace(open=lambda _: opened, settings=None)
    learner = Learner(engine)
    learner.describe_differing("plain")
    assert learner.rested("plain", 60)
    assert described == [("sha",)]
    assert learner.following("plain").looked == Looked(1, ())
    learner.close()
