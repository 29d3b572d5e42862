"""mrag ask at the terminal: what it prints, several questions of a file, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_an_answer_shows_what_it_rests_on_and_what_was_searched(mrag: Run) -> None:
    done = mrag("ask", "how many pictures show a truck?", "--explain", "-c", "plain")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "in the captions" in lines[1]
    assert lines[2].startswith("  [1] ")
    assert "  searched: truck" in lines
    assert "    “how many pictures show”: counts pictures" in lines
    assert "  how it was made:" in lines


def test_what_is_found_can_be_reranked(mrag: Run) -> None:
    question = ("ask", "which pictures show a truck or a castle?", "-c", "plain")
    done = mrag(*question, "--rerank", "pointwise", "--rerank-seconds", "60", "--explain")
    assert done.code == 0, done.err
    assert "reranked" in done.out
    assert "rerank: pointwise" in done.out
    assert "set MRAG_RERANKER" in mrag(*question, "--rerank", "picture").err


def test_another_search_can_be_given(mrag: Run) -> None:
    (answer,) = mrag("ask", "how many?", "--search", "truck -dog", "--json").answers
    assert answer["searches"] == ["truck -dog"]
    assert mrag("ask", "how many?", "--search", "after:x").code == 2


def test_questions_of_a_file_are_asked_one_after_the_other(mrag: Run, tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_text("\ufeffis there a unicorn?\n\n?!\nhow many trucks?\r\n", encoding="utf-8")
    done = mrag("ask", "--questions", file, "--json")
    assert done.code == 1
    assert [answer["question"] for answer in done.answers] == [
        "is there a unicorn?",
        "how many trucks?",
    ]
    assert "2 questions answered, 1 not" in done.err
    assert "mrag: ?!: the question has no word" in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--questions", "GONE"], "No such file"),
        (["--questions", "FOLDER"], "is a folder"),
        (["--questions", "BINARY"], "no text in UTF-8"),
        (["--questions", "EMPTY"], "there is no question in it"),
        (["dogs?", "--questions", "EMPTY"], "leave one out"),
        ([""], "ask something"),
        (["x" * 10_000], "question: String should have at most 500 characters"),
        (["what is it?", "GONE"], "there is no such file"),
        (["what is it?", "BINARY"], "is not a picture"),
    ],
)
def test_what_cannot_be_asked_says_what_to_do(
    mrag: Run, tmp_path: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").write_text("\n")
    places = {"GONE": tmp_path / "gone", "FOLDER": tmp_path, "BINARY": tmp_path / "binary",
              "EMPTY": tmp_path / "empty"}  # fmt: skip
    done = mrag("ask", *(places.get(one, one) for one in arguments))
    assert done.code in {1, 2, 3}
    assert told in done.err
    assert "Traceback" not in done.err
    assert not done.out
