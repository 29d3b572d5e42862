"""Questions read by rules: each rule by its example, nothing lost, all read back."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ask.filter_rules import FILTER_RULES, Rule
from engine.ask.kinds import KIND_RULES, KindRule
from engine.ask.rules import MOST_ASKED, edited, read_question
from engine.errors import InvalidInput, InvalidSearch
from engine.search.language import Filter, Word, read_search
from engine.words import words

TODAY = date(2026, 11, 30)


class Names:
    """Knows a few names."""

    known = frozenset(
        (
            ("place", "lisbon"), ("place", "new york"), ("tag", "holiday"),
            ("camera", "canon eos r6"), ("camera", "canon"),
            ("label", "dog"),
        )
    )  # fmt: skip

    def has(self, kind: str, name: str) -> bool:
        return (kind, name.casefold()) in self.known


def searched(question: str) -> str:
    """The one search that a question makes."""
    (search,) = read_question(question, today=TODAY, known=Names()).searches
    return search


@pytest.mark.parametrize("rule", FILTER_RULES, ids=lambda rule: rule.name)
def test_each_filter_rule_reads_its_example(rule: Rule) -> None:
    question, search = rule.example
    read = read_question(question, today=TODAY, known=Names())
    assert read.searches == (search,)
    assert any(one.rule == rule.name and one.gave and one.told == rule.told for one in read.fired)


@pytest.mark.parametrize("rule", KIND_RULES, ids=lambda rule: rule.name)
def test_each_kind_of_question_is_known_by_its_example(rule: KindRule) -> None:
    read = read_question(rule.example, today=TODAY, known=Names())
    assert read.kind == rule.kind
    assert read.fires(rule.name)


@pytest.mark.parametrize(
    ("question", "search"),
    [
        ("what did we photograph in the snow?", "snow"),
        ("Please, show me all photos of dogs in New York last summer!",
         'after:2026-06-01 before:2026-08-31 place:"New York" dogs'),
        ("how many pictures in our collection were taken before March 3rd, 2020 with 5 stars?",
         "before:2020-03-02 rating:5"),
        ("pictures from November to February 2023", "after:2022-11-01 before:2023-02-28"),
        ("dogs in the last two weeks", "after:2026-11-16 before:2026-11-30 dogs"),
        ("dogs on 31 June 2024", "dogs on 31 June 2024"),  # no such day: the words stay
        ("dogs between 2024 and 2020", "dogs between 2024 and 2020"),
        ("may we march in spring?", "may we march in spring"),
        ("are there dogs in Paris?", "dogs in Paris"),  # no place that is known here
        ("dogs in May 2024 in May 2023", "after:2024-05 before:2024-05 dogs in May 2023"),
        ("-cat +dog 2:sheep like:me 12:30?", "dog 2 sheep like me 12:30 -cat"),
        ("what did we photograph in Lisbon last summer?",
         "after:2026-06-01 before:2026-08-31 place:Lisbon"),
        ("how many pictures were taken in Lisbon or New York?", 'place:Lisbon place:"New York"'),
        ("pictures not taken in Lisbon or New York", '-place:Lisbon -place:"New York"'),
        ("did we ever go to Lisbon?", "place:Lisbon"),
        ("was this taken in Lisbon?", "place:Lisbon"),
        ("have we been to Tokyo?", "Tokyo"),
        ("pictures with rating 5", "rating:5"),
        ("dogs and also cats", "dogs cats"),
        ("dogs near a car in Lisbon", "place:Lisbon dogs near a car"),
        ("how many photos were taken with the Canon in Lisbon?", "camera:Canon place:Lisbon"),
        ("how many pictures have the tag holiday?", "tag:holiday"),
        ("dogs not tagged holiday", "-tag:holiday dogs"),
        ("how many pictures are tagged unheard?", "tag:unheard"),  # so that it is said to be none
        ("a shirt with the label unheard", "shirt with the label unheard"),
        ("how many pictures weren't taken in Lisbon?", "-place:Lisbon"),
        ("pictures that were not taken with the Canon in Lisbon", "-camera:Canon place:Lisbon"),
        ("which pictures have a caption?", "has:caption"),
        ("how many pictures are labelled dog?", "label:dog"),
        ("how many pictures are tagged dog?", "label:dog"),
        ("pictures from 22:00 to 2 am", "after:22:00 before:02:00"),
        ("pictures taken after midnight", "after:00:00 before:05:00"),
        ("cars before 08:00:30", "before:08:00:30 cars"),
        ("cars at 17:05", "after:17:05 before:17:05:59 cars"),
        ("cars around noon", "after:11:30 before:12:30 cars"),
        ("cars at around midnight", "after:23:30 before:00:30 cars"),
        ("how many holiday photos show dogs?", "holiday dogs"),
        ("cats and/or dogs", "cats or dogs"),
        ("what did we film in the snow?", "snow"),
        ("how many times did we photograph a lion?", "lion"),
        ("how many pictures contain the word lion?", "lion"),
        ("when did we film a dog?", "dog"),
        ("which videos show a dog?", "dog"),
        ("videos of dogs", "dogs"),
        ("where was the dog filmed?", "dog"),
        ("paper clips", "paper clips"),
        ("where was the picture taken?", ""),
        ("how many pictures are not of dogs?", "-dogs"),
        ("which pictures do not show any dogs?", "-dogs"),
        ("which pictures don't have cats?", "-cats"),
        ("photos of beaches with no people", "beaches -people"),
        ("are there more than two dogs?", "more than two dogs"),
        ("which pictures have no dog", "-dog"),
        ("how many pictures have neither a cat nor a dog?", "-cat -dog"),
        ("pictures with no dogs, cats or fire trucks", '-dogs -cats -"fire trucks"'),
        ("which pictures have a dog and no cat and no bird", "dog -cat -bird"),
        ("dogs without cats and with a ball", "dogs and with a ball -cats"),
        ("show me everything except dogs and cats", "-dogs -cats"),
        ("no dogs and two cats", "and two cats -dogs"),
        ("pics of cats not in the snow", "cats -snow"),
        ("what's in the snow besides the lion?", "in the snow -lion"),
        ("how many pictures have either a cat or a dog", "cat or a dog"),
        ("how many pictures show a lion, a dog, or a cat?", "lion or a dog or a cat"),
        ("how many dogs are there in total across all pictures?", "dogs"),
        ("dogs in 2020 or 2023", "after:2020 before:2020 dogs or 2023"),
        ("which pictures have no caption?", "-has:caption"),
        ("i'd like to see lions at night", "lions at night"),
        ("have we ever been to the beach?", "beach"),
    ],
)  # fmt: skip
def test_questions_become_searches(question: str, search: str) -> None:
    assert searched(question) == search


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("dogs", "listing"), ("pictures of dogs in snow", "listing"), ("any lions?", "listing"),
        ("do we have lions?", "existence"), ("without dogs", "listing"),
        ("tag:holiday", "listing"), ("-dogs", "listing"),
        ("where did we take pictures of dogs?", "place"),
        ("in which city did we photograph dogs?", "place"),
        ("is the dog bigger than the house?", "open"), ("describe the dog", "open"),
        ("count dogs", "things"), ("anything with a boat?", "existence"),
        ("what is on the beach?", "open"), ("how often did we see a dog?", "pictures"),
    ],
)  # fmt: skip
def test_what_kind_of_question_it_is_shows_in_how_it_begins(question: str, kind: str) -> None:
    assert read_question(question, today=TODAY, known=Names()).kind == kind


@pytest.mark.parametrize(
    ("question", "sides", "which"),
    [
        ("are there more pictures of cats than of dogs?", ("cats", "dogs"), "more"),
        ("Do the cats outnumber the dogs?", ("cats", "dogs"), ""),
        ("which are more common, cats or dogs?", ("cats", "dogs"), "more"),
        ("are there more lions than dogs or cats?", ("lions", "dogs or cats"), "more"),
        ("do fewer pictures show a cat than a dog in 2023?",
         ("after:2023 before:2023 cat", "after:2023 before:2023 dog"), "fewer"),
        ("are there more pictures from Lisbon than from New York?",
         ("place:Lisbon", 'place:"New York"'), "more"),
        ("are there more dogs in Lisbon than in New York in 2023?",
         ("place:Lisbon after:2023 before:2023 dogs",
          'after:2023 before:2023 place:"New York" dogs'), "more"),
        ("did we take more photos in 2023 or 2024?",
         ("after:2023 before:2023", "after:2024 before:2024"), "more"),
        ("are there more pictures of Lisbon than of dogs?", ("place:Lisbon", "dogs"), "more"),
    ],
)  # fmt: skip
def test_what_is_compared_is_searched_apart(
    question: str, sides: tuple[str, ...], which: str
) -> None:
    read = read_question(question, today=TODAY, known=Names())
    assert (read.kind, read.searches, read.which) == ("comparison", sides, which)


@pytest.mark.parametrize(
    "question",
    [
        "wie viele Hunde sind im Mai 2023 im Schnee?",
        "हिमपात में कुत्ते कितने हैं",
        "雪地里有几只狗",
        "มีสุนัขกี่ตัวในหิมะ",
    ],
)
def test_of_other_languages_all_words_are_looked_for_and_nothing_is_filtered(question: str) -> None:
    read = read_question(question, today=TODAY, known=Names())
    (search,) = map(read_search, read.searches)
    assert words(search.text) == words(question)
    assert all(isinstance(item, Word) for item in search.items)
    assert read.kind == "open"


def test_an_edited_search_takes_the_place_of_what_was_read() -> None:
    read = edited(read_question("how many dogs?", today=TODAY), ("cats  tag:holiday",))
    assert read.searches == ("cats tag:holiday",)
    assert str(read.fired[-1]) == "“dogs”: replaced by -> cats tag:holiday"
    with pytest.raises(InvalidSearch):
        edited(read, ("after:never",))
    two = edited(read, ("cats", "dogs"))
    assert two.kind == "comparison"
    assert edited(two, ("cats",)).kind == "pictures"


def test_a_typed_filter_that_cannot_be_read_is_said_and_not_taken_for_words() -> None:
    with pytest.raises(InvalidSearch, match="'99:99' is no time of day"):
        read_question("dogs before:99:99", today=TODAY)


@pytest.mark.parametrize("question", ["", "  \n", "?!", "\x00"])
def test_a_question_without_a_word_says_what_to_do(question: str) -> None:
    with pytest.raises(InvalidInput, match="ask something"):
        read_question(question, today=TODAY)


def test_a_question_of_thousands_of_characters_is_refused_with_the_limit() -> None:
    with pytest.raises(InvalidInput, match=rf"10,000 characters, the limit is {MOST_ASKED}"):
        read_question("dogs" * 2500, today=TODAY)


_PIECES = (
    *(rule.example[0] for rule in FILTER_RULES), *(rule.example for rule in KIND_RULES),
    "in Lisbon", "last week", "before 17:00", "and", "the", "pictures of", "more", "than",
    '"', "-", "+", "2:", "tag:", "after:2024", "like:x", "with 3 stars", "?", "'", "in 2020",
    "without cats", "between 1 pm and", "from May", "犬", "कुत्ते",
)  # fmt: skip
_PARTS = st.one_of(st.sampled_from(_PIECES), st.text(max_size=12))


@given(st.lists(_PARTS, min_size=1, max_size=6).map(" ".join))
def test_whatever_is_asked_is_read_back_and_no_word_is_lost_silently(question: str) -> None:
    if not words(question) or len(" ".join(question.split())) > MOST_ASKED:
        return
    read = read_question(question, today=TODAY, known=Names())
    assert 1 <= len(read.searches) <= 2
    told = " ".join(one.said for one in read.fired)
    kept = " ".join(str(item) for search in read.searches for item in read_search(search).items)
    assert set(words(question)) - {"a", "an", "the", "any", "some", "of"} <= set(
        words(f"{told} {kept}")
    )
    for search in read.searches:
        assert str(read_search(search)) == search


@given(st.dates(date(1900, 1, 1), date(2100, 12, 31)))
def test_relative_days_are_never_after_today(today: date) -> None:
    for said in ("yesterday", "last summer", "last winter", "in May", "last Monday", "3 years ago",
                 "last weekend", "in the last 40 months", "the day before yesterday"):  # fmt: skip
        read = read_question(f"dogs {said}", today=today)
        items = read_search(read.searches[0]).items
        days = {item.name: item.value for item in items if isinstance(item, Filter)}
        filters = read_search(read.searches[0]).filters
        assert days, said
        assert filters.taken_from is not None
        assert filters.taken_from.date() <= today
