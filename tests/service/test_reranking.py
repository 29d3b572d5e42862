"""What the service reranks: searches and the captions for a prompt, over real small models."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.app import Engine, build_engine
from engine.errors import InvalidInput, ModelMissing
from engine.models.loaded import CONSENSUS
from engine.search.reranked import NO_WORDS
from engine.settings import Settings
from mrag_client.answers import GivenPicture, NamedPicture, StoredPicture
from mrag_client.models import (
    AskOptions,
    CaptionOptions,
    Description,
    Rerank,
    SearchAnswer,
    SearchOptions,
)
from service.answering import LocalAnswers
from tests.blip import save_blip
from tests.samples import PICTURES

ASKED = SearchOptions(text="two dogs on the beach", spaces=("mapped",), rerank_seconds=60)
METHODS = pytest.mark.parametrize("method", ["pointwise", "listwise", "picture"])


@pytest.fixture(scope="module")
def engine(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that can rerank by picture, too."""
    blip = tmp_path_factory.mktemp("blip")
    save_blip(blip)
    settings = Settings(home=sample_home, profile="sample", device="cpu", reranker=str(blip))
    made = build_engine(settings)
    yield made
    made.close()


@pytest.fixture(scope="module")
def answers(engine: Engine) -> LocalAnswers:
    return LocalAnswers(engine)


def found(answers: LocalAnswers, **changes: object) -> SearchAnswer:
    (answer,) = answers.search(ASKED.model_copy(update=changes))
    return answer


def ids(answer: SearchAnswer) -> list[str]:
    return [hit.id for hit in answer.hits]


@METHODS
def test_the_first_change_places_and_what_is_likely_stays_likely(
    answers: LocalAnswers, method: Rerank
) -> None:
    said = found(answers).hits[0].caption  # so that something is likely
    before = found(answers, text=said, k=PICTURES)
    after = found(answers, text=said, k=PICTURES, rerank=method)
    assert after.reranked == (f"{PICTURES} of {PICTURES} reranked",)
    assert before.likely == after.likely
    likely = before.likely or 0
    assert 0 < likely < PICTURES
    assert sorted(ids(after)[:likely]) == sorted(ids(before)[:likely])
    assert ids(after) != ids(before)
    assert {hit.id: (hit.score, hit.chance) for hit in after.hits} == {
        hit.id: (hit.score, hit.chance) for hit in before.hits
    }


@METHODS
def test_pages_are_cut_from_one_order(answers: LocalAnswers, method: Rerank) -> None:
    whole = ids(found(answers, k=12, rerank=method, rerank_top=10))
    pages = [found(answers, k=4, offset=at, rerank=method, rerank_top=10) for at in (0, 4, 8)]
    assert [key for page in pages for key in ids(page)] == whole
    assert {page.reranked for page in pages} == {("10 of 10 reranked",)}
    assert whole[10:] == ids(found(answers, k=12))[10:]


def test_the_second_page_goes_on_where_the_first_ended_though_time_ran_out(
    answers: LocalAnswers,
) -> None:
    asked = {"k": 5, "rerank": "pointwise", "rerank_seconds": 1e-9, "text": "a red car"}
    first, again = found(answers, **asked), found(answers, **asked)
    assert first.reranked == again.reranked
    assert "within 1e-09 s" in first.reranked[0]
    assert not set(ids(first)) & set(ids(found(answers, **asked, offset=5)))


def test_no_time_changes_nothing_and_is_said(answers: LocalAnswers) -> None:
    none = found(answers, rerank="listwise", rerank_seconds=0)
    assert ids(none) == ids(found(answers))
    assert none.reranked == (f"0 of {PICTURES} reranked within 0 s",)


@METHODS
def test_odd_words_are_judged_like_others(answers: LocalAnswers, method: Rerank) -> None:
    for text in ("🐕" * 500, "x" * 500, "สุนัข สองตัว", "dog {caption} +beach -cat", "[A]\nyes"):
        told = found(answers, text=text, rerank=method, rerank_top=4)
        assert told.reranked[0].startswith("4 of 4"), text


def test_a_search_without_words_says_that_nothing_is_reranked(
    answers: LocalAnswers, unknown_pictures: list[Path]
) -> None:
    options = SearchOptions(spaces=("mapped",), rerank="pointwise")
    picture = NamedPicture("given", unknown_pictures[0])
    (answer,) = answers.search(options, image=picture)
    assert answer.reranked == (NO_WORDS,)
    assert answer.hits


@pytest.mark.parametrize("other", [{"sort": "newest"}, {"diversity": 0.5}])
def test_orders_that_exclude_each_other_are_refused(
    answers: LocalAnswers, other: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput, match="an order of its own"):
        found(answers, rerank="pointwise", **other)


def test_a_picture_that_has_moved_keeps_its_place(
    engine: Engine, answers: LocalAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(answers, k=PICTURES, text="three cats")
    open_picture, moved = engine.open_picture, before.hits[2]

    def opened(source: Path | bytes) -> object:
        return open_picture(Path("/gone.webp") if str(source) == moved.uri else source)

    monkeypatch.setattr(engine, "open_picture", opened)
    after = found(answers, k=PICTURES, text="three cats", rerank="picture")
    assert after.hits[2].id == moved.id
    assert after.reranked[1] == "1 whose picture cannot be opened kept its place"


def test_sessions_that_ask_at_once_get_the_same_order(answers: LocalAnswers) -> None:
    with ThreadPoolExecutor(4) as sessions:
        told = [
            sessions.submit(found, answers, text="a whale", rerank="pointwise") for _ in range(4)
        ]
        assert len({tuple(ids(one.result())) for one in told}) == 1


def test_how_it_was_made_tells_of_it(answers: LocalAnswers) -> None:
    trace = found(answers, rerank="pointwise", explain=True).trace
    assert trace is not None
    (step,) = [step for step in trace.steps if step.stage == "rerank: pointwise"]
    assert step.notes == (f"{PICTURES} of {PICTURES} reranked",)
    assert step.moves


@METHODS
def test_more_captions_are_judged_and_the_best_go_into_the_prompt(
    answers: LocalAnswers, unknown_pictures: list[Path], method: Rerank
) -> None:
    key = ids(found(answers))[0]
    given: list[GivenPicture] = [
        NamedPicture("file", unknown_pictures[0]),
        StoredPicture(key),
    ]
    options = CaptionOptions(k=3, candidates=1, rerank=method, rerank_top=8, rerank_seconds=60)
    for told in answers.caption(given, options):
        assert isinstance(told, Description)
        assert told.reranked == ("8 of 8 reranked",)
        assert len(told.retrieved) == 3


def test_captions_that_differ_are_not_reranked(answers: LocalAnswers) -> None:
    options = CaptionOptions(diversity=0.3, rerank="pointwise")
    with pytest.raises(InvalidInput, match="leave either diversity or reranking out"):
        list(answers.caption([], options))


def test_what_is_missing_is_told_with_the_remedy(engine: Engine, tmp_path: Path) -> None:
    def answered(**changes: str) -> LocalAnswers:
        return LocalAnswers(build_engine(engine.settings.model_copy(update=changes)))

    with pytest.raises(InvalidInput, match="set MRAG_RERANKER to one"):
        found(answered(reranker=""), rerank="picture")
    with pytest.raises(ModelMissing, match="holds no complete reranker"):
        found(answered(reranker=str(tmp_path)), rerank="picture")
    with pytest.raises(InvalidInput, match="there is none here"):
        found(answered(generator=CONSENSUS), rerank="listwise")


@METHODS
def test_what_is_found_for_a_question_is_reranked(
    answers: LocalAnswers, unknown_pictures: list[Path], method: Rerank
) -> None:
    plain = AskOptions(question="which pictures show a truck or a castle?", explain=True)
    options = plain.model_copy(update={"rerank": method, "rerank_seconds": 60})
    before, after = answers.ask(plain), answers.ask(options)
    assert before.reranked == ()
    count = len(before.pictures)
    assert after.reranked == (f"{count} of {count} reranked",)
    assert after.counts == before.counts
    assert {one.id for one in after.cited} == {one.id for one in before.cited}
    assert after.trace is not None
    assert [step.stage for step in after.trace.steps] == [
        "retrieve",
        f"rerank: {method}",
        "refine: as many as answer",
        "answer",
    ]
    file = NamedPicture("new.webp", unknown_pictures[0])
    given = options.model_copy(update={"question": "where is this?", "k": 3, "rerank_top": 6})
    told = answers.ask(given, images=[file])
    assert told.reranked == ("6 of 6 reranked",)
    assert sum(len(one.captions) for one in told.pictures) == 3
