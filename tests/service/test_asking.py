"""Questions over a real collection: what the index counts, and what captions of pictures say."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from engine.app import Engine
from engine.ask.inflection import stem
from engine.errors import CollectionMissing, InvalidInput, InvalidSearch, UnreadableImage
from engine.store import picture_id
from engine.words import words
from mrag_client.answers import NamedPicture, StoredPicture
from mrag_client.models import AskAnswer, AskEvent, AskOptions
from service.answering import LocalAnswers
from tests.samples import PICTURES


@pytest.fixture(scope="module")
def answers(sample_engine: Engine) -> LocalAnswers:
    return LocalAnswers(sample_engine)


def naming(engine: Engine, *said: str) -> set[str]:
    """The pictures whose captions have all these words, in the singular or the plural."""
    hits = engine.open("plain").images.browse(k=PICTURES)
    wanted = {stem(word) for word in said}
    return {
        hit.id
        for hit in hits
        if wanted <= {stem(word) for text in hit.captions for word in words(text)}
    }


def cited(answer: AskAnswer) -> set[str]:
    return {one.id for one in answer.cited}


@pytest.mark.parametrize(
    "asked", ["How many pictures show {}s?", "which pictures show a {}?", "is there a {} here?"]
)
@pytest.mark.parametrize("thing", ["balloon", "truck", "castle", "unicorn"])
def test_a_collection_is_counted_by_what_captions_say(
    answers: LocalAnswers, sample_engine: Engine, asked: str, thing: str
) -> None:
    answer = answers.ask(AskOptions(question=asked.format(thing)), collection="plain")
    there = naming(sample_engine, thing)
    assert answer.said
    assert answer.by == "index"
    assert answer.counts[0].said == len(there)
    assert answer.counts[0].among == PICTURES
    assert cited(answer) == there
    assert [one.number for one in answer.pictures] == [*range(1, len(answer.pictures) + 1)]
    if "there" in asked:
        assert answer.answer.startswith("Yes" if there else "No")
    marks = [int(number) for number in re.findall(r"\[(\d+)\]", answer.answer)]
    assert marks == [*range(1, min(len(there), 6) + 1)]


def test_a_number_counts_what_it_stands_before(answers: LocalAnswers) -> None:
    two = answers.ask(
        AskOptions(question="which pictures show two palm trees?"), collection="plain"
    )
    for one in two.cited:
        assert any(re.search(r"(?i)(two|pair of|couple of) palm", text) for text in one.captions)


def test_two_are_compared_by_their_counts(answers: LocalAnswers, sample_engine: Engine) -> None:
    question = "are there more pictures of palm trees than of castles?"
    answer = answers.ask(AskOptions(question=question), collection="plain")
    palms, castles = naming(sample_engine, "palm"), naming(sample_engine, "castle")
    assert [count.said for count in answer.counts] == [len(palms), len(castles)]
    assert answer.answer.startswith("Yes" if len(palms) > len(castles) else "No")


def test_an_edited_search_is_searched_instead(answers: LocalAnswers, sample_engine: Engine) -> None:
    options = AskOptions(question="how many pictures show castles?", searches=("balloon",))
    answer = answers.ask(options, collection="plain")
    assert answer.searches == ("balloon",)
    assert cited(answer) == naming(sample_engine, "balloon")
    without = AskOptions(question="how many pictures?", searches=("balloon -castle",))
    left = answers.ask(without, collection="plain")
    both = naming(sample_engine, "balloon") & naming(sample_engine, "castle")
    assert left.counts[0].said == len(naming(sample_engine, "balloon") - both)
    with pytest.raises(InvalidSearch):
        answers.ask(AskOptions(question="how many?", searches=("after:never",)), collection="plain")


def test_filters_that_match_nothing_are_said_and_nothing_is_invented(
    answers: LocalAnswers,
) -> None:
    options = AskOptions(question="how many dogs last summer?", today=date(2026, 11, 30))
    answer = answers.ask(options, collection="plain")
    assert answer.searches == ("after:2026-06-01 before:2026-08-31 dogs",)
    assert answer.answer == "No picture satisfies the filters."
    assert not answer.said
    assert answer.hints == ("no picture here says when it was taken",)
    assert answer.pictures == ()
    who = answers.ask(AskOptions(question="who owns the truck in 2020?"), collection="plain")
    assert who.answer == "No picture satisfies the filters."


@pytest.mark.parametrize(
    "question",
    ["who took the pictures of the truck?", "why is the truck there?", "how old is the castle?",
     "what did the photographer say?", "wie viele Hunde sind im Schnee?", "雪地里有几只狗？"],
)  # fmt: skip
def test_what_the_captions_do_not_say_is_not_answered(answers: LocalAnswers, question: str) -> None:
    answer = answers.ask(AskOptions(question=question), collection="plain")
    assert not answer.said
    assert answer.answer.startswith("The captions do not say")
    assert not answer.cited


def test_what_is_there_is_told_by_examples(answers: LocalAnswers) -> None:
    answer = answers.ask(
        AskOptions(question="what did we photograph in a room?"), collection="plain"
    )
    assert answer.by == "index"
    assert "such as “" in answer.answer
    for one in answer.cited:
        assert any(text.rstrip(".") in answer.answer for text in one.captions)


def test_a_picture_of_the_collection_is_answered_by_its_own_captions(
    answers: LocalAnswers, sample_engine: Engine
) -> None:
    hit = next(
        one
        for one in sample_engine.open("plain").images.browse(k=PICTURES)
        if re.match(r"Three (\w+)s ", one.captions[0])
    )
    thing = hit.captions[0].split()[1]
    for given in (StoredPicture(hit.id), NamedPicture("it", Path(hit.uri))):  # known by its bytes
        options = AskOptions(question=f"how many {thing} are there?")
        answer = answers.ask(options, images=[given], collection="plain")
        assert answer.answer == "Three. [1]"
        assert [one.id for one in answer.pictures] == [hit.id]
        assert set(answer.pictures[0].captions) <= set(hit.captions)
    none = answers.ask(AskOptions(question="is there a unicorn?"), images=[StoredPicture(hit.id)])
    assert none.answer.startswith("No: ")


def test_a_file_is_answered_by_the_captions_of_pictures_like_it(
    answers: LocalAnswers, unknown_pictures: Sequence[Path]
) -> None:
    given = NamedPicture("new.webp", unknown_pictures[0])
    answer = answers.ask(AskOptions(question="where is this?", k=3), images=[given])
    assert answer.said
    assert answer.counts == ()
    assert len(answer.pictures) <= 3
    assert all(one.given == 1 for one in answer.pictures)
    asked = AskOptions(question="how many dogs in 2020?")
    assert "filters are for collections" in answers.ask(asked, images=[given]).hints[0]


def test_what_cannot_be_opened_or_found_is_an_error(answers: LocalAnswers, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(UnreadableImage, match=r"broken\.jpg"):
        answers.ask(AskOptions(question="what is it?"), images=[NamedPicture("broken.jpg", broken)])
    with pytest.raises(InvalidInput, match="no picture with the id"):
        answers.ask(
            AskOptions(question="what is it?"), images=[StoredPicture(picture_id("0" * 64))]
        )
    with pytest.raises(InvalidInput, match="ask something"):
        answers.ask(AskOptions(question=" "))
    with pytest.raises(CollectionMissing):
        answers.ask(AskOptions(question="dogs?"), collection="none")


def test_events_tell_what_is_done_and_end_with_the_answer(answers: LocalAnswers) -> None:
    options = AskOptions(question="how many pictures show castles?", explain=True)
    events = list(answers.ask_events(options, collection="plain"))
    assert [one.event for one in events] == ["searched", "found", "answer"]
    assert events[0].searches == ("castles",)
    assert events[1].found == len(events[2].answer.cited if events[2].answer else ())
    last = events[-1].answer
    assert last is not None
    assert last.model_copy(update={"timings_ms": {}, "trace": None}) == answers.ask(
        AskOptions(question="how many pictures show castles?"), collection="plain"
    ).model_copy(update={"timings_ms": {}})
    assert last.trace is not None
    assert [step.stage for step in last.trace.steps] == ["retrieve", "answer"]
    json.dumps(AskEvent(event="text", text="x").model_dump(mode="json"))
    with pytest.raises(InvalidInput):
        list(answers.ask_events(AskOptions(question="?")))
    one = answers.ask_events(options, collection="plain")
    next(one)
    one.close()  # who reads no further leaves no work behind


def test_without_paths_only_names_of_files_are_told(sample_engine: Engine) -> None:
    quiet = LocalAnswers(sample_engine, paths=False)
    answer = quiet.ask(AskOptions(question="which pictures show a castle?"), collection="plain")
    assert all("/" not in one.uri for one in answer.pictures)
    assert answer.pictures
