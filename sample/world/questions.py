"""Questions with their right answers, made from what scenes hold, and whether an answer is right.

A question is about one picture, or about a collection of them; `about` names the pictures.

| kind | about one picture | about a collection |
| --- | --- | --- |
| existence | is there a dog? | is there a picture of a dog on the beach? |
| counting | how many dogs are there? | how many pictures show a dog? |
| place | where is the dog? | where are most of the dogs? |
| comparison | are there more dogs than cats? | are there more pictures with dogs than with cats? |
| listing | what can be seen? | which pictures show a dog? |
| unanswerable | what is the dog called? | who took the pictures of the dog? |

"A dog" and "dogs" stand for any number of them, "two dogs" for exactly two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal, get_args

from engine.ask.prompts import NOT_SAID
from sample.world.answers import (
    read_number,
    read_places,
    read_things,
    read_yes_no,
    says_not_said,
)
from sample.world.captions import NUMBERS
from sample.world.places import PLACES
from sample.world.queries import ANY, Wanted
from sample.world.scenes import Meaning
from sample.world.things import THINGS, plural, with_article

Kind = Literal["existence", "counting", "place", "comparison", "unanswerable", "listing"]
Scope = Literal["picture", "collection"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SCOPES: tuple[Scope, ...] = get_args(Scope)
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Question:
    """A question, its right answer in plain words, and the pictures that it is about.

    About a collection, `about` are the pictures that show what is asked for (of a comparison:
    either of the two), so none where the answer is no.
    """

    text: str
    answer: str
    kind: Kind
    scope: Scope
    about: tuple[str, ...]


Truth = Mapping[str, Meaning]
"""What each picture holds, by the picture's id."""

_WORDINGS: dict[tuple[Kind, Scope], tuple[str, ...]] = {
    ("existence", "picture"): (
        "Is there {a} in the picture?",
        "Is there {a}?",
        "Does the picture show {a}?",
        "Are there any {many} in the picture?",
        "Can you see {a} here?",
    ),
    ("counting", "picture"): (
        "How many {many} are there?",
        "How many {many} are in the picture?",
        "How many {many} does the picture show?",
        "What is the number of {many}?",
        "Count the {many}.",
    ),
    ("place", "picture"): (
        "Where is the {thing}?",
        "Where was the picture taken?",
        "Where is this?",
        "In what place is the {thing}?",
        "What kind of place is it?",
    ),
    ("comparison", "picture"): (
        "Are there more {many} than {others}?",
        "Are there fewer {others} than {many}?",
        "Does the picture show more {many} than {others}?",
        "Do the {many} outnumber the {others}?",
    ),
    ("listing", "picture"): (
        "What is in the picture?",
        "What can be seen?",
        "Which things does the picture show?",
        "What is there {where}?",
        "What do you see in this picture?",
    ),
    ("unanswerable", "picture"): (
        "What is the {thing} called?",
        "Who took the picture?",
        "How old is the {thing}?",
        "Which year was the picture taken?",
        "What colour is the {thing}?",
        "Who owns the {thing}?",
        "Why is the {thing} there?",
        "What does the {thing} weigh?",
        "What happened after the picture was taken?",
    ),
    ("existence", "collection"): (
        "Is there a picture of {what}?",
        "Do we have a picture of {what}?",
        "Does any picture show {what}?",
        "Are there any pictures of {what}?",
        "Did anyone photograph {what}?",
    ),
    ("counting", "collection"): (
        "How many pictures show {what}?",
        "How many pictures of {what} are there?",
        "How many pictures have {what} in them?",
        "In how many pictures is there {what}?",
        "Count the pictures with {what}.",
    ),
    ("place", "collection"): (
        "Where are most pictures of {what} taken?",
        "Where were most of the pictures with {what} taken?",
        "In which place is {what} seen most often?",
        "Where do we mostly see {what}?",
    ),
    ("comparison", "collection"): (
        "Are there more pictures with {what} than with {other}?",
        "Are there more pictures of {what} than of {other}?",
        "Do more pictures show {what} than {other}?",
        "Is {what} in more pictures than {other}?",
    ),
    ("listing", "collection"): (
        "Which pictures show {what}?",
        "Show me all pictures of {what}.",
        "In which pictures is there {what}?",
        "List the pictures with {what}.",
        "Find every picture that has {what} in it.",
    ),
    ("unanswerable", "collection"): (
        "Who took the pictures of {what}?",
        "What is the name of the oldest {thing}?",
        "When did we buy the {thing}?",
        "Who is the owner of the {many}?",
        "Why did we photograph {what}?",
        "How much did the {thing} cost?",
        "What did the photographer of {what} say?",
    ),
}


def wordings(kind: Kind, scope: Scope, training: bool) -> Sequence[str]:
    """How such questions are put; the last wording of each kind is kept out of training."""
    known = _WORDINGS[kind, scope]
    return known[:-1] if training else known


def _phrase(wanted: Wanted) -> str:
    """What is wanted, in words: 'a dog', 'two dogs on the beach'."""
    things = []
    for name, count in wanted.things:
        many = f"{NUMBERS.get(count, '')} {plural(name)}" if count > 1 else with_article(name)
        things.append(f"one {name}" if count == 1 else many)
    phrases = {place.name: place.phrases[0] for place in PLACES}
    return " ".join([" and ".join(things), *([phrases[wanted.place]] if wanted.place else [])])


def _absent(names: Collection[str], rng: Random) -> str:
    return rng.choice([thing.name for thing in THINGS if thing.name not in names])


Made = tuple[dict[str, str], str, tuple[str, ...]]
"""What fills the wording, the answer, and the pictures that the question is about."""


def _one_existence(meaning: Meaning, rng: Random) -> tuple[dict[str, str], str]:
    there = rng.random() < 0.5
    held = sorted(meaning.names)
    name = rng.choice(held) if there else _absent(held, rng)
    return {"a": with_article(name), "many": plural(name)}, YES if there else NO


def _one_counting(meaning: Meaning, rng: Random) -> tuple[dict[str, str], str]:
    name, count = rng.choice(sorted(meaning.things))
    return {"many": plural(name)}, "one" if count == 1 else NUMBERS[count]


def _one_place(meaning: Meaning, rng: Random) -> tuple[dict[str, str], str]:
    phrase = next(place.phrases[0] for place in PLACES if place.name == meaning.place)
    return {"thing": rng.choice(sorted(meaning.names))}, phrase


def _one_comparison(meaning: Meaning, rng: Random) -> tuple[dict[str, str], str] | None:
    counts = sorted(meaning.things)
    if len(counts) < 2:
        return None
    rng.shuffle(counts)
    (more, first), (fewer, second) = counts
    return {"many": plural(more), "others": plural(fewer)}, YES if first > second else NO


def _one_listing(meaning: Meaning, rng: Random) -> tuple[dict[str, str], str]:
    del rng
    told = [
        with_article(name) if count == 1 else f"{NUMBERS[count]} {plural(name)}"
        for name, count in sorted(meaning.things)
    ]
    phrase = next(place.phrases[0] for place in PLACES if place.name == meaning.place)
    return {"where": phrase}, " and ".join(told)


def _one_unanswerable(meaning: Meaning, rng: Random) -> tuple[dict[str, str], str]:
    return {"thing": rng.choice(sorted(meaning.names))}, NOT_SAID


_ABOUT_ONE: dict[Kind, Callable[[Meaning, Random], tuple[dict[str, str], str] | None]] = {
    "existence": _one_existence,
    "counting": _one_counting,
    "place": _one_place,
    "comparison": _one_comparison,
    "listing": _one_listing,
    "unanswerable": _one_unanswerable,
}


def question_about(
    picture: str, meaning: Meaning, kind: Kind, rng: Random, training: bool = False
) -> Question | None:
    """A question of that kind about one picture; None where its scene gives none."""
    made = _ABOUT_ONE[kind](meaning, rng)
    if made is None:
        return None
    words, answer = made
    text = rng.choice(wordings(kind, "picture", training)).format(**words)
    return Question(text, answer, kind, "picture", (picture,))


def _showing(truth: Truth, wanted: Wanted) -> tuple[str, ...]:
    return tuple(picture for picture, meaning in truth.items() if wanted.fits(meaning))


def _some_wanted(truth: Truth, rng: Random) -> Wanted:
    """Something that at least one picture shows: things, now and then with count or place."""
    meaning = truth[rng.choice(list(truth))]
    things = sorted(meaning.things)
    rng.shuffle(things)
    kept = things[: 2 if rng.random() < 0.2 else 1]
    counted = rng.random() < 0.25
    named = tuple((name, count if counted else ANY) for name, count in kept)
    return Wanted(named, meaning.place if rng.random() < 0.35 else "")


def _missing_wanted(truth: Truth, rng: Random) -> Wanted | None:
    """Something that no picture shows though it might: another place or count, or new company."""
    wanted = _some_wanted(truth, rng)
    name = wanted.things[0][0]
    other = rng.choice(
        (
            Wanted(((name, ANY),), rng.choice(PLACES).name),
            Wanted(((name, rng.choice((2, 3))),)),
            Wanted(((name, ANY), (_absent({name}, rng), ANY))),
            Wanted(((rng.choice(THINGS).name, ANY),)),
        )
    )
    return None if _showing(truth, other) else other


def _many_existence(truth: Truth, rng: Random) -> Made | None:
    wanted = _some_wanted(truth, rng) if rng.random() < 0.5 else _missing_wanted(truth, rng)
    if wanted is None:
        return None
    about = _showing(truth, wanted)
    return {"what": _phrase(wanted)}, YES if about else NO, about


def _many_counting(truth: Truth, rng: Random) -> Made:
    wanted = _some_wanted(truth, rng)
    about = _showing(truth, wanted)
    return {"what": _phrase(wanted)}, str(len(about)), about


def _many_place(truth: Truth, rng: Random) -> Made | None:
    name = _some_wanted(truth, rng).things[0][0]
    about = _showing(truth, Wanted(((name, ANY),)))
    ranked = Counter(truth[picture].place for picture in about).most_common(2)
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        return None
    phrase = next(place.phrases[0] for place in PLACES if place.name == ranked[0][0])
    return {"what": with_article(name)}, phrase, about


def _many_comparison(truth: Truth, rng: Random) -> Made | None:
    first, second = (_some_wanted(truth, rng).things[0][0] for _ in range(2))
    one, other = (_showing(truth, Wanted(((name, ANY),))) for name in (first, second))
    if first == second or len(one) == len(other):
        return None
    words = {"what": with_article(first), "other": with_article(second)}
    return words, YES if len(one) > len(other) else NO, tuple(dict.fromkeys((*one, *other)))


def _many_listing(truth: Truth, rng: Random) -> Made:
    wanted = _some_wanted(truth, rng)
    about = _showing(truth, wanted)
    return {"what": _phrase(wanted)}, ", ".join(about), about


def _many_unanswerable(truth: Truth, rng: Random) -> Made:
    wanted = _some_wanted(truth, rng)
    name = wanted.things[0][0]
    words = {"what": _phrase(wanted), "thing": name, "many": plural(name)}
    return words, NOT_SAID, _showing(truth, wanted)


_ABOUT_MANY: dict[Kind, Callable[[Truth, Random], Made | None]] = {
    "existence": _many_existence,
    "counting": _many_counting,
    "place": _many_place,
    "comparison": _many_comparison,
    "listing": _many_listing,
    "unanswerable": _many_unanswerable,
}


def question_over(truth: Truth, kind: Kind, rng: Random, training: bool = False) -> Question | None:
    """A question of that kind about a collection; None where this draw gives none."""
    made = _ABOUT_MANY[kind](truth, rng)
    if made is None:
        return None
    words, answer, about = made
    text = rng.choice(wordings(kind, "collection", training)).format(**words)
    return Question(text, answer, kind, "collection", about)


def _draw(truth: Truth, rng: Random, kind: Kind, scope: Scope, training: bool) -> Question | None:
    if scope == "collection":
        return question_over(truth, kind, rng, training)
    picture = rng.choice(list(truth))
    return question_about(picture, truth[picture], kind, rng, training)


def _drawn(draw: Callable[[], Question | None], tries: int = 1000) -> Iterator[Question]:
    """Questions as they come; ends where none comes for long."""
    for _ in range(tries):
        if question := draw():
            yield question


def question_set(
    collection_truth: Truth, seed: int, n: int, training: bool = False
) -> list[Question]:
    """Different questions over a collection, of every kind and both scopes about as many.

    `collection_truth` gives each picture's meaning by its id. The same arguments give the same
    questions. For `training` some wordings are left out.
    """
    rng = Random(seed)
    asked: dict[tuple[str, tuple[str, ...]], Question] = {}
    cells = [(kind, scope) for scope in SCOPES for kind in KINDS]
    for at in range(n):
        kind, scope = cells[at % len(cells)]
        for one in _drawn(partial(_draw, collection_truth, rng, kind, scope, training)):
            key = (one.text, one.about if scope == "picture" else ())
            if key not in asked:
                asked[key] = one
                break
    return list(asked.values())


def truth_of_rows(rows: Sequence[Mapping[str, object]]) -> dict[str, Meaning]:
    """What pictures hold, by their file's name in the collection, from rows of captions.jsonl."""
    from sample.world.reading import read_truth

    return {str(row["image"]): read_truth(row["truth"]) for row in rows}  # type: ignore[arg-type]


def _listed_right(text: str, question: Question, cited: Collection[str] | None) -> bool:
    if question.scope == "picture":
        return set(read_things(text)) == set(read_things(question.answer))
    named = set(cited) if cited is not None else {p for p in question.about if p in text}
    return named == set(question.about)


def right(answer_text: str, question: Question, cited: Collection[str] | None = None) -> bool:
    """Whether a free answer is right: a refusal where nothing is said, and only there.

    Of several numbers, things or a yes and a no, the first counts. Of "which pictures", `cited`
    are the ids of the pictures that were given (without it: those whose ids the text names),
    and they must be all and no others.
    """
    if question.kind == "unanswerable" or says_not_said(answer_text):
        return question.kind == "unanswerable" and says_not_said(answer_text)
    if question.kind == "listing":
        return _listed_right(answer_text, question, cited)
    if question.kind == "counting":
        return read_number(answer_text) == read_number(question.answer)
    if question.kind == "place":
        return read_places(answer_text) == read_places(question.answer)
    return read_yes_no(answer_text) == (question.answer == YES)
