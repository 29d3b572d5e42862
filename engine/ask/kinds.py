"""What kind of question it is, by how it is worded; and wordings that ask for nothing by themselves.

English alone: what no rule knows is an open question, all of whose words are looked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["pictures", "things", "existence", "listing", "place", "comparison", "open"]
"""`pictures`: how many pictures; `things`: how many of a thing; `comparison`: more of which."""

PICTURES = r"(?:pictures?|photos?|photographs?|images?|shots?|snaps?)"
_WE = r"(?:we|i|you|they|there|anyone|somebody)"
_SHOW = (
    r"(?:show(?:s|ing)?|have|has|having|contain(?:s|ing)?|with|of|depict(?:s|ing)?|"
    r"includ(?:es?|ing)|featur(?:es?|ing)|about|say|says)"
)
_HAVE = rf"(?:(?:do|did|have|can) {_WE} (?:have|got|own|see|find|take|make|photograph|shoot)|are there|is there|were there|were taken|have been taken|exist)"
_OPENING = rf"(?: {_HAVE})?(?: (?:that|which|in which|where))?(?: (?:can )?{_SHOW})*"


@dataclass(frozen=True)
class KindRule:
    """A way to begin a question, which says of what kind it is; `example` is such a question."""

    name: str
    kind: Kind
    pattern: re.Pattern[str]
    told: str
    example: str


def _opening(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{text})(?=[\s?!.,;:]|$)", re.IGNORECASE)


_MORE = r"(?P<which>more|fewer|less|as many|as few)"

KIND_RULES: tuple[KindRule, ...] = (
    KindRule(
        "compare", "comparison",
        _opening(
            rf"(?:(?:are|were|is) there|(?:do|did|have) {_WE} (?:have|got|take|see))? ?{_MORE}"
            rf"(?: {PICTURES}(?: {_SHOW})?)?"
        ),
        "asks of which there is more", "are there more pictures of cats than of dogs?",
    ),
    KindRule(
        "compare two", "comparison",
        _opening(
            rf"(?:which|what)(?: (?:one|of (?:them|these)))? (?:is|are) (?P<which>more|less)"
            rf" (?:common|frequent|often)(?: in the {PICTURES})?[,:]?"
        ),
        "asks of which there is more", "which are more common, cats or dogs?",
    ),
    KindRule(
        "count pictures", "pictures",
        _opening(
            rf"(?:how many|(?:what is )?the number of|what number of|count(?: all)?(?: the)?)"
            rf"(?: of)?(?: (?:our|my|the|these|those|your))? {PICTURES}{_OPENING}"
        ),
        "counts pictures", "how many pictures show two dogs?",
    ),
    KindRule(
        "count things", "things",
        _opening(r"(?:how many|(?:what is )?the number of|what number of|count(?: all)? the)"),
        "counts things", "how many dogs are there?",
    ),
    KindRule(
        "find pictures of it", "existence",
        _opening(
            rf"(?:is|are|was|were) there (?:(?:any|a|an|some) )?{PICTURES}{_OPENING}"
            rf"|(?:do|did|have|can) {_WE} (?:ever )?(?:have|got|take|see|find|make)"
            rf"(?: (?:any|a|an|some))?(?: {PICTURES})(?: {_SHOW})*"
            rf"|did {_WE} ever (?:photograph|see)"
        ),
        "asks whether there is one", "is there any picture of a lion?",
    ),
    KindRule(
        "list pictures", "listing",
        _opening(
            rf"(?:which|what|whose)(?: of (?:our|my|the|these))? {PICTURES}{_OPENING}"
            rf"|where are (?:our|my|the) {PICTURES}(?: {_SHOW})*"
            rf"|(?:show|find|list|give|get|bring|fetch)(?: (?:me|us))?(?: (?:all|every|each|some|any))?"
            rf"(?: (?:of )?(?:our|my|the))?(?: {PICTURES})?(?: {_SHOW})*"
            rf"|(?:i|we) (?:want|would like|need|am looking|are looking|look)(?: for)?(?: to see)?"
            rf"(?: (?:all|some|any))?(?: (?:our|my|the))? {PICTURES}(?: {_SHOW})*"
        ),
        "asks for pictures", "which pictures show a lion?",
    ),
    KindRule(
        "exists", "existence",
        _opening(
            r"(?:is|are|was|were) there(?: (?:any|some))?"
            rf"|(?:do|did|can|could) {_WE} (?:see|find|spot)(?: (?:any|some))?"
            r"|(?:does|do|did) (?:it|this|that|the (?:picture|photo|image)s?) "
            r"(?:show|have|contain|depict|include)(?: (?:any|some))?"
        ),
        "asks whether there is one", "is there a dog on the beach?",
    ),
    KindRule(
        "place", "place",
        _opening(
            rf"where (?:is|are|was|were|do|did|does|can)(?: {_WE}(?: (?:see|find|have|got))?)?"
            rf"|in (?:which|what) place (?:is|are|was|were)"
        ),
        "asks where something is", "where is the dog?",
    ),
    KindRule(
        "yes or no", "existence", _opening(r"is (?:it|this|that|he|she)|are (?:they|these|those)"),
        "asks whether it is so", "is it on a beach?",
    ),
    KindRule(
        "what was photographed", "open",
        _opening(
            rf"(?:what|who|whom) (?:all )?(?:did|do|have|can) {_WE} (?:photograph(?:ed)?|see|seen|shoot|shot|have|find)"
            rf"(?: (?:in|on|at))?|(?:what|who) (?:was|were|is|are) (?:photographed|seen|shown|visible|depicted)"
            rf"(?: (?:in|on|at))?|(?:what|who) (?:is|are|was|were)(?: there)?(?: to be seen)?"
        ),
        "asks what is there", "what did we photograph in the snow?",
    ),
    KindRule(
        "open", "open",
        _opening(
            r"(?P<asks>what|which|whose|who|whom|when|why|how)"
            r"(?P<type>(?: (?!is|are|was|were|do|does|did|has|have|had|can|could|will)[^\W\d_]+)?)"
            r"(?: (?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should))?"
        ),
        "asks what the captions tell of it", "what animal is next to the house?",
    ),
)  # fmt: skip
"""The first that fits the beginning of a question says what kind it is."""

POLITE = re.compile(
    r"(?:(?:hi|hello|hey|please|thanks|thank you|ok|okay|so|well|now|and|just|kindly|tell me|let me "
    r"know|can you|could you|would you|will you|can i|could i|may i|do you know|i wonder|i would "
    r"like to know|i want to know|i'd like to know)[\s,.:!]+)+",
    re.IGNORECASE,
)
"""What a question may begin with that says nothing of it."""

FILLERS = re.compile(
    rf"(?<!\S)(?:please|thanks|thank you|by the way|in total|altogether|overall|all in all|exactly|ever"
    rf"|(?:are|is|were|was) there|(?:do|did|have) {_WE} (?:have|take|photograph|see|own|got)"
    rf"|(?:can be|is|are|was|were|be) (?:seen|shown|visible|depicted|photographed|taken)"
    rf"|(?:in|on|of|from|among) (?:the|this|that|my|our|these|those|all|any|your)(?: of the)? "
    rf"(?:whole |entire )?(?:collection|album|library|archive|{PICTURES})"
    rf"|(?:(?:any|all|some|the|our|my) )?{PICTURES}(?: (?:of|with|showing|that show))?"
    rf"|(?:a|an) {PICTURES} (?:of|with|showing))(?=[\s?!.,;:]|$)",
    re.IGNORECASE,
)
"""What may stand anywhere in a question and asks for nothing by itself."""

THAN = re.compile(r"(?<!\S)(?:,? ?than|as|or|than that of)(?: (?:of|with|for))?(?=\s)", re.IGNORECASE)
"""What stands between the two that are compared."""

_SIGNS_OF_ENGLISH = frozenset(
    "the what which how are were does did show find any with where who when pictures there have "
    "yesterday today last ago between before after since until taken many from".split()
)


def looks_english(words: tuple[str, ...]) -> bool:
    """Whether a question has a word that English alone has: else no rule may take part of it."""
    return not _SIGNS_OF_ENGLISH.isdisjoint(words)
