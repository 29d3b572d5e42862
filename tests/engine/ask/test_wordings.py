"""Other words for the same, learned from captions of the same pictures."""

from __future__ import annotations

from datetime import date
from random import Random

from engine.ask.counting import required
from engine.ask.rules import read_question
from engine.ask.told import missing, says
from engine.ask.wordings import Wordings, reworded

PLACES = (("on the street", "in the city"), ("on the beach", "by the sea"), ("indoors", "at home"))


def captions(count: int = 60, seed: int = 1) -> list[list[str]]:
    """Pictures of two kinds of balls at three places; each place has two wordings."""
    rng = Random(seed)
    made = []
    for at in range(count):
        kind = rng.choice(("soccer", "tennis"))
        wordings = PLACES[at % len(PLACES)]
        made.append([f"two {kind} balls {rng.choice(wordings)}" for _ in range(5)])
    return made


def test_what_captions_of_the_same_pictures_say_instead_is_another_word_for_it() -> None:
    wordings = Wordings(captions())
    assert wordings.of("street") == ("city",)
    assert wordings.of("streets") == ("city",)
    assert wordings.of("beach") == ("sea",)
    assert wordings.of("ball") == ()  # soccer is said beside it, and never in its place
    assert wordings.of("soccer") == ()
    assert wordings.of("unicorn") == ()


def test_nothing_is_learned_from_few_pictures_or_single_captions() -> None:
    few = captions(len(PLACES) * 2)  # five captions each, about half of them with the word
    assert Wordings(few).of("street") == ()
    assert Wordings([one[:1] for one in captions()]).of("street") == ()
    assert Wordings([]).of("street") == ()


def test_a_question_says_which_words_it_is_also_answered_by() -> None:
    read = read_question("how many balls are on the street?", today=date(2026, 11, 30))
    told = reworded(read, Wordings(captions()))
    assert told.others == {"street": ("city",)}
    assert told.searches == read.searches
    assert str(told.fired[-1]) == "“street”: captions of the same pictures also say “city”"
    text = "balls on the street"
    assert says(text, "a ball in the city", told.others)
    assert not says(text, "a ball in the city")
    assert missing(text, ["a ball in the city"]) == ("street",)
    assert missing(text, ["a ball in the city"], told.others) == ()
    assert "city" in required(text, told.others)[1]
