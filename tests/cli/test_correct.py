"""`mrag correct`, without a server and through one: said, told, taken back, learned from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cli.correct import _show_learned
from mrag_client.models import LearnedAnswer
from tests.cli.conftest import PACK, Done
from tests.cli.test_doors import running
from tests.worlds import copied_tree

Mrag = Callable[..., Done]
TEXT = "A wombat counts <b>lighthouses</b>."
PICTURE = str(PACK / "plain" / "images" / "000.webp")


@pytest.fixture
def own(sample_home: Path, tmp_path: Path) -> Path:
    """A copy of a small home, which may be changed."""
    copy = tmp_path / "home"
    copied_tree(sample_home, copy)
    return copy


def found(mrag: Mrag) -> list[dict[str, str]]:
    """The pictures in whose captions the word occurs."""
    done = mrag("search", "wombat", "--space", "words", "--json")
    assert done.code == 0, done.err
    (answer,) = done.answers
    hits: list[dict[str, str]] = answer["hits"]
    return hits


def check(mrag: Mrag) -> None:
    assert found(mrag) == []
    nothing = mrag("correct", "nowhere.jpg", TEXT)
    assert (nothing.code, "has no picture 'nowhere.jpg'" in nothing.err) == (2, True)
    said = mrag("correct", PICTURE, f"  {TEXT}\n")
    assert (said.code, said.out.strip()) == (0, TEXT)
    (hit,) = found(mrag)
    assert hit["caption"] == TEXT
    (told,) = mrag("correct", hit["id"], "--history", "--json").answers
    assert [(one["text"], one["who"]) for one in told["corrections"]] == [(TEXT, "this machine")]
    learned = mrag("correct", "--json")
    assert learned.answers[0]["now"]["corrections"] == 1
    assert mrag("correct", PICTURE, "--undo").code == 0
    assert found(mrag) == []
    history = mrag("correct", PICTURE, "--history")
    assert "took it back" in history.out
    assert history.out.count(TEXT) == 2


def test_a_correction_from_the_terminal(mrag: Mrag, own: Path) -> None:
    check(partial(mrag, at=own))


def test_a_correction_through_the_server(mrag: Mrag, own: Path) -> None:
    with running(own) as server:

        def asked(*args: str) -> Done:
            done = mrag(*args, at=own)
            assert server.jobs.learner.rested("plain", 120)
            return done

        check(asked)
        assert any("/corrections" in path for path in server.asked)


def test_it_is_not_said_that_nothing_was_corrected_while_a_correction_waits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _show_learned(LearnedAnswer(collection="plain", waiting=1, state="waits"), again=True)
    told = capsys.readouterr().err
    assert "nothing was corrected" not in told
    assert "1 correction is safe on disk" in told
    assert "described again once that is done" in told
