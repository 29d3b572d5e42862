"""What a caption claims of things: how many there are, and which colour they have.

Read by rules. The nouns of English are known by where they stand: after a number or a colour, up
to the next word of a kind that ends a noun's group. Where spaces part the words of another
language the noun is the word after the number, where none do it is what follows the counter.
What a rule cannot tell is no claim, so that nothing is held against a caption that it did not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from engine.evidence.numerals import count_of
from engine.evidence.terms import LITTLE, PLACING, is_plural, singular
from engine.words import units, words

Subject = tuple[str, str]
"""What is claimed, "count" or "colour", and the thing that it is claimed of."""

Claims = dict[Subject, frozenset[str]]
"""What is claimed of each subject: any of these values."""

_COLOURS = {
    "red": "red", "blue": "blue", "green": "green", "yellow": "yellow", "orange": "orange",
    "purple": "purple", "pink": "pink", "brown": "brown", "black": "black", "white": "white",
    "gray": "grey", "grey": "grey", "violet": "purple", "golden": "gold", "gold": "gold",
    "silver": "silver", "beige": "beige", "tan": "tan", "teal": "teal", "maroon": "maroon",
}  # fmt: skip
_CHINESE_COLOURS = {
    "红": "red", "紅": "red", "蓝": "blue", "藍": "blue", "绿": "green", "綠": "green",
    "黄": "yellow", "黃": "yellow", "黑": "black", "白": "white", "灰": "grey",
}  # fmt: skip
_COUNTERS = frozenset("只隻条條个個位名辆輛头頭匹张張把架艘朵棵本台座件块塊片支枝对對群")
_SIZES = frozenset("大小长長高矮")
_VERBS = ("ing", "ed")
_NO_VERBS = frozenset(
    (
        "building", "ceiling", "clothing", "painting", "wedding", "railing", "string", "spring",
        "king", "ring", "wing", "swing", "awning", "bed", "shed", "sled", "seed", "weed", "breed",
    )
)  # fmt: skip
_ENDS = LITTLE | PLACING
_NOT_THINGS = frozenset(("other", "others", "more", "time", "times", "way", "side", "lot", "group"))
_LONGEST = 3
"""So many words are looked at after a number or a colour."""


@lru_cache(maxsize=1 << 12)
def claims_of(text: str) -> Claims:
    """All that a caption claims; of a thing that it counts in two ways nothing."""
    said = words(text)
    counts: dict[str, list[int]] = {}
    colours: dict[str, set[str]] = {}
    for at, word in enumerate(said):
        if letters := units(word):
            for thing, value in _unspaced(letters):
                if isinstance(value, int):
                    counts.setdefault(thing, []).append(value)
                else:
                    colours.setdefault(thing, set()).add(value)
            continue
        count = count_of(word)
        if count is not None and (thing := _counted(said[at + 1 :], count)):
            counts.setdefault(thing, []).append(count)
        if word in _COLOURS and (thing := _coloured(said, at)):
            colours.setdefault(thing, set()).add(_COLOURS[word])
    return {
        **{("count", thing): told for thing, found in counts.items() if (told := _total(found))},
        **{("colour", thing): frozenset(found) for thing, found in colours.items()},
    }


def _total(counts: Sequence[int]) -> frozenset[str]:
    """How many there are of what is counted so; nothing where that is not plain."""
    if set(counts) == {1}:
        return frozenset({str(len(counts))})  # a cat on a chair, and a cat on the floor
    return frozenset(map(str, counts)) if len(set(counts)) == 1 else frozenset()


def _counted(after: Sequence[str], count: int) -> str:
    """The thing that a number before these words counts; empty where that is not plain."""
    if not after:
        return ""
    if after[0] == "of":  # a pair of
        after = after[1:]
    if not after or units(after[0]):
        return ""
    if not after[0].isascii():
        return after[0]
    group = list(_noun_group(after))
    if count == 1:
        group = [word for word in group[-1:] if not is_plural(word)]
    else:
        group = [word for word in group if is_plural(word)]
    return singular(group[-1]) if group and group[-1] not in _NOT_THINGS else ""


def _coloured(said: Sequence[str], at: int) -> str:
    """The thing that has the colour at that place."""
    after = said[at + 1 :]
    while len(after) > 1 and (after[0] in _COLOURS or after[:1] == ("and",)):
        after = after[1:]  # red and white
    group = list(_noun_group(after))
    if group:
        thing = group[-1]
    elif at > 1 and said[at - 1] in {"is", "are"}:  # the car is red
        thing = said[at - 2]
    else:
        return ""
    return "" if thing in _NOT_THINGS or thing in _ENDS else singular(thing)


def _noun_group(after: Sequence[str]) -> Iterator[str]:
    """The words up to the next that is no part of a noun's group, colours left out."""
    for word in after[:_LONGEST]:
        if word in _COLOURS:
            continue
        verb = word.endswith(_VERBS) and word not in _NO_VERBS
        ends = word in _ENDS or verb or count_of(word) is not None
        if ends or not word.isascii() or not word.isalpha():
            return
        yield word


def _unspaced(letters: Sequence[str]) -> Iterator[tuple[str, int | str]]:
    """Things in a run of letters with their number or colour, as Chinese puts it: 三只红狗."""
    for at, letter in enumerate(letters):
        count = count_of(letter)
        counter = letters[at + 1] if at + 1 < len(letters) else ""
        if count is not None and counter in _COUNTERS:
            rest = [one for one in letters[at + 2 : at + 8] if one not in _SIZES]
            while rest and (rest[0] in _CHINESE_COLOURS or rest[0] in "色的"):
                rest = rest[1:]
            if rest:
                yield rest[0], count
        if letter in _CHINESE_COLOURS:
            rest = [one for one in letters[at + 1 : at + 4] if one not in "色的"]
            if rest and rest[0] not in _CHINESE_COLOURS:
                yield rest[0], _CHINESE_COLOURS[letter]
