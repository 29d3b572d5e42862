"""What kind of question it is, by how it is worded; and wordings that ask for nothing.

English alone: what no rule knows is an open question, all of whose words are looked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from engine.ask.inflection import NUMBER_WORDS

Kind = Literal["pictures", "things", "existence", "listing", "place", "time", "comparison", "open"]
"""`pictures`: how many pictures; `things`: how many of a thing; `comparison`: more of which;
`time`: when pictures were taken."""

PICTURES = r"(?:pictures?|photos?|photographs?|images?|shots?|snaps?|pics?)"
VIDEOS = r"(?:videos?|films?|movies?|clips?|recordings?|footage)"
_SEEN = rf"(?:{PICTURES}|{VIDEOS})"
_WE = r"(?:we|i|you|they|there|anyone|anybody|someone|somebody)"
_SHOW = (
    r"(?:show(?:s|ing)?|have|has|having|contain(?:s|ing)?|with|of|depict(?:s|ing)?|"
    r"includ(?:es?|ing)|featur(?:es?|ing)|about|say|says|mention(?:s|ing)?)"
)
_HAVE = (
    rf"(?:(?:do|did|have|can) {_WE}"
    r" (?:have|got|own|see|find|take|make|photograph|film|record|shoot)"
    r"|(?:are|is|were) there|were taken|have been taken|exist)"
)
_TAKE = "(?:see|find|have|got|take|make|shoot|photograph|film|record)"
_SPOT = "(?:place|location|spot|town|village|region|cit(?:y|ie)|countr(?:y|ie))"
_VISIBLE = "(?:seen|shown|visible|depicted|photographed|filmed|recorded|taken)"
_AUXILIARY = "(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)"
_OURS = "(?: (?:the|our|my|these))?"
_LIKE = (
    rf"(?P<like>(?: (?!(?:{_AUXILIARY}|{PICTURES}|(?:in|on|at|of|with|from|to|and|or|the|our|my"
    r"|these|those|your|no|not|more|most))\b)[^\W\d_]+){1,2})?"
)
"""What pictures are called: `holiday` of "how many holiday pictures"."""
_OPENING = (
    rf"(?: {_HAVE})?(?: (?:that|which|in which|where))?(?: (?:can )?{_SHOW})*(?: the words?)?"
)


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


ALL_OF_SOME = "all of some"
"""The rule for questions that no count of pictures answers."""

COUNTS_VIDEOS = "count videos"
"""The rule for questions that count videos, of which each shot is counted."""

WHAT_IS_THERE = "what is there"
"""The rule for questions that any picture answers which shows what they name."""

_MORE = (
    rf"(?P<which>(?:more|fewer|less)(?! than (?:\d|(?:{'|'.join(NUMBER_WORDS)})\b))"
    r"|as many|as few)"
)

KIND_RULES: tuple[KindRule, ...] = (
    KindRule(
        "compare", "comparison",
        _opening(
            rf"(?:(?:are|were|is) there|(?:do|did|have) {_WE} (?:have|got|take|see)"
            rf"|(?:do|does) (?:it|the {PICTURES}) {_SHOW}|do|did)? ?{_MORE}"
            rf"(?: {PICTURES}(?: {_SHOW})?)?"
        ),
        "asks of which there is more", "are there more pictures of cats than of dogs?",
    ),
    KindRule(
        "outnumber", "comparison",
        _opening(
            rf"(?:do|does|did|is|are)"
            rf"(?=[^\n]* (?:outnumber|(?:in|on) (?P<which>more|fewer) {PICTURES} than) )"
        ),
        "asks of which there is more", "do the cats outnumber the dogs?",
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
        "all of them", "existence",
        _opening(
            rf"(?:do|does|did|have|has) (?P<which>all|every|each)(?: one)?(?: of)?{_OURS}"
            rf" {PICTURES}(?: {_SHOW})*"
        ),
        "asks whether all do", "does every picture show a dog?",
    ),
    KindRule(
        ALL_OF_SOME, "existence",
        _opening(r"(?:is|are|was|were|do|does|did|have|has) (?:all|every|each)"),
        "asks whether all of some do", "are all dogs on the beach?",
    ),
    KindRule(
        "share of pictures", "pictures",
        _opening(
            rf"(?:(?:what|which)(?: is the)? |the )?"
            rf"(?P<which>percentage|per ?cent|share|fraction|proportion) of"
            rf"(?: all)?{_OURS} {PICTURES}{_OPENING}"
        ),
        "asks which share of the pictures", "what percentage of our pictures show a dog?",
    ),
    KindRule(
        "how often", "pictures",
        _opening(
            rf"how (?:often|many times) (?:(?:do|did|have) {_WE}"
            r" (?:see|seen|(?:photograph|film|record)(?:ed)?|have|find|take)"
            rf"|(?:is|are|was|were) there|is|are|was|were|do|does)"
        ),
        "counts pictures", "how often did we photograph a dog?",
    ),
    KindRule(
        "count pictures", "pictures",
        _opening(
            rf"(?:(?:in |on )?how many|(?:what is )?(?:the )?number of|what number of"
            rf"|count(?: all)?(?: the)?)"
            rf"(?: of)?(?: (?:our|my|the|these|those|your))?{_LIKE} {PICTURES}{_OPENING}"
        ),
        "counts pictures", "how many pictures show two dogs?",
    ),
    KindRule(
        COUNTS_VIDEOS, "pictures",
        _opening(rf"(?:how many|(?:the )?number of)(?: of)?{_OURS} {VIDEOS}{_OPENING}"),
        "counts videos", "how many videos show a dog?",
    ),
    KindRule(
        "count things", "things",
        _opening(
            r"(?:how many|(?:what is )?(?:the )?number of|what number of|count(?: all)?(?: the)?)"
        ),
        "counts things", "how many dogs are there?",
    ),
    KindRule(
        "find pictures of it", "existence",
        _opening(
            rf"(?:is|are|was|were) there (?:(?:any|a|an|some) )?{_SEEN}{_OPENING}"
            rf"|(?:do|did|have|can) {_WE} (?:ever )?(?:have|got|take|see|find|make)"
            rf"(?: (?:any|a|an|some))?(?: {_SEEN})(?: {_SHOW})*"
            rf"|(?:did|has|have) {_WE} (?:ever )?"
            rf"(?:(?:photograph|film|record)(?:ed)?|see|seen|(?:been|go|gone|travel)"
            rf"(?: (?:to|in|at|on))?(?=\s|$))"
            rf"|(?:is|are) (?:any|some|one)(?: of)?{_OURS} {_SEEN}(?: {_SHOW})*"
            rf"|(?:do|does|did|has|have) (?:any|some|one)(?: of)?{_OURS} {_SEEN} {_SHOW}"
            rf"|(?:any|anything|something|anyone|anybody|somebody|someone)(?: {_SEEN})? {_SHOW}"
        ),
        "asks whether there is one", "is there any picture of a lion?",
    ),
    KindRule(
        "list pictures", "listing",
        _opening(
            rf"(?:in |on )?(?:which|what|whose)(?: of (?:our|my|the|these))?{_LIKE}"
            rf" {_SEEN}{_OPENING}"
            rf"|where are (?:our|my|the) {_SEEN}(?: {_SHOW})*"
            rf"|(?:show|find|list|give|get|bring|fetch)(?: (?:me|us))?"
            rf"(?: (?:all|every|each|some|any))?"
            rf"(?: (?:of )?(?:our|my|the))?(?: {_SEEN}(?: (?:that|which|where))?)?(?: {_SHOW})*"
            rf"|(?:(?:i|we) (?:want|would like|need|am looking|are looking|look)|(?:i|we)['’]d like"
            rf"|looking)(?: for)?(?: to see)?"
            rf"(?: (?:all|some|any))?(?: (?:our|my|the))?(?: {_SEEN}(?: {_SHOW})*)?"
        ),
        "asks for pictures", "which pictures show a lion?",
    ),
    KindRule(
        "exists", "existence",
        _opening(
            r"(?:is|are|was|were) there(?: (?:any|some))?"
            rf"|(?:do|did|can|could) {_WE} (?:see|find|spot|have|own)(?: (?:any|some))?"
            r"|(?:does|do|did) (?:it|this|that|the (?:picture|photo|image)s?) "
            r"(?:show|have|contain|depict|include)(?: (?:any|some))?"
        ),
        "asks whether there is one", "is there a dog on the beach?",
    ),
    KindRule(
        "place", "place",
        _opening(
            rf"where (?:is|are|was|were|do|did|does|can)(?: {_WE}(?: (?:mostly|often|usually))?"
            rf"(?: {_TAKE})?)?(?: most(?: of)?(?: (?:the|our|my))?)?"
            rf"(?: {_SEEN}(?: {_SHOW})?)?"
            rf"|(?:in|at|on) (?:which|what)(?: kind of)? {_SPOT}s?"
            rf" (?:is|are|was|were|do|did)(?: {_WE}(?: {_TAKE})?)?(?: {_SEEN}(?: {_SHOW})?)?"
            rf"|(?:which|what)(?: (?:kind|sort|type) of)? {_SPOT} (?:is|was)"
        ),
        "asks where something is", "where is the dog?",
    ),
    KindRule(
        "when", "time",
        _opening(
            rf"when (?:did|do|have) {_WE} (?:last |first )?"
            rf"(?:(?:photograph|film|record)(?:ed)?|shoot|shot|see|seen)"
            rf"|(?:when|(?:in |on )?(?:which|what) (?:year|month|day|date)) (?:was|were|is|are)"
            rf"(?: (?:it|this|that|(?:the|this|that|our|my|these)(?: (?:first|last|latest))?"
            rf" {_SEEN}(?: {_SHOW})?))?"
            rf"|what is the date of (?:the|this|that) {_SEEN}(?: {_SHOW})?"
        ),
        "asks when pictures were taken", "when did we photograph the castle?",
    ),
    KindRule(
        "yes or no", "existence", _opening(r"is (?:it|this|that|he|she)|are (?:they|these|those)"),
        "asks whether it is so", "is it on a beach?",
    ),
    KindRule(
        WHAT_IS_THERE, "open",
        _opening(
            rf"(?:what|who|whom) (?:all )?(?:did|do|have|can) {_WE} "
            r"(?:(?:photograph|film|record)(?:ed)?|see|seen|shoot|shot|have|find)"
            r"(?: (?:in|on|at))?"
            rf"|(?:what|who) (?:was|were|is|are) {_VISIBLE}(?: (?:in|on|at))?"
            rf"|(?:what|who) (?:is|are|was|were) (?:there|to be seen)"
            rf"|what (?:is|are|was|were)(?= (?:on|in|at) )"
        ),
        "asks what is there", "what did we photograph in the snow?",
    ),
    KindRule(
        "what is it", "open",
        _opening(
            r"(?:what|who) (?:is|are|was|were)"
            rf"|describe (?:it|this|that|them|(?:the|this|that|these) {PICTURES})"
            rf"|what (?:do|can) {_WE} see(?=[?!. ]*$)"
        ),
        "asks what the captions tell of it", "what is next to the house?",
    ),
    KindRule(
        "open", "open",
        _opening(
            rf"(?P<asks>(?:what|which|whose|how)"
            rf"(?P<type> (?!{_AUXILIARY}\b)[^\W\d_]+(?= {_AUXILIARY}\b))?"
            rf"|who|whom|when|why)(?: {_AUXILIARY}\b)?"
        ),
        "asks what the captions tell of it", "what animal is next to the house?",
    ),
)  # fmt: skip
"""The first that fits the beginning of a question says what kind it is."""

_TELL = "(?:please )?(?:show|find|list|tell|count|give|say)"
POLITE = re.compile(
    r"(?:(?:hi|hello|hey|please|thanks|thank you|ok|okay|so|well|now|and|just|kindly|tell me"
    rf"|let me know|(?:can|could|would|will) you(?= {_TELL})|can i (?=see)|do you know|i wonder"
    r"|i would like to know|i want to know|i'd like to know)[\s,.:!]+)+",
    re.IGNORECASE,
)
"""What a question may begin with that says nothing of it."""

FILLERS = re.compile(
    rf"(?<!\S)(?:please|thanks|thank you|by the way|in total|altogether|overall|all in all|exactly"
    rf"|only(?= (?:\d|{'|'.join(NUMBER_WORDS)})\b)"
    rf"|either|both|also|too|as well|everything|anything|something|everyone|at all"
    rf"|ever|(?:are|is|were|was) there"
    rf"|(?:do|did|have) {_WE} (?:have|take|photograph|film|record|see|own|got)"
    rf"|(?:(?:can be|is|are|was|were|be) )?{_VISIBLE}(?: (?:mostly|most often|most))?"
    rf"|(?:(?:do|does|did) )?(?:it|(?:the|this|that|these|those) {PICTURES})"
    rf" (?:show|have|contain)s?|mostly|most often|in (?:it|them)|here"
    rf"|(?:in|on|of|from|among|across|throughout|within|over) "
    rf"(?:the|this|that|my|our|these|those|all|any|your)(?: of the)? "
    rf"(?:whole |entire )?(?:collection|album|library|archive|{PICTURES})"
    rf"|(?:(?:any|all|some|the|our|my|this|a|an) )?{PICTURES}(?: (?:of|with|showing|that show))?"
    rf"|{VIDEOS} (?:of|with|showing|that show)|in (?:the|our|my|any|all|these) {VIDEOS})"
    rf"(?=[\s?!.,;:]|$)",
    re.IGNORECASE,
)
"""What may stand anywhere in a question and asks for nothing by itself."""

THAN = re.compile(
    rf"(?<!\S)(?:(?:in|on) (?:more|fewer) {PICTURES} than|outnumber|than|as|or)"
    rf"(?: (?:there are )?{PICTURES})?(?: (?:of|with|for|showing))?(?=\s)",
    re.IGNORECASE,
)
"""What stands between the two that are compared."""

LOOSE_ENDS = re.compile(
    r"(?<!\S)(?:were|was|are|is|have been|has been|that|which|who|and|or|but|yet|in|on|at|of|from"
    r"|to|with|by)"
    r"(?=[?!., ]*(?:\n|$))",
    re.IGNORECASE,
)
"""What says nothing once the words behind it have been taken out."""

_ASKS = rf"(?:how many|how often|which {PICTURES}|what|where|when|who|why)"
SEVERAL = re.compile(
    r"\?(?= [^\n]*\w)(?! (?:please|thanks|thank you|ok|okay)\W*$)"
    rf"|[?!;] (?:and |or )?(?:{_ASKS}|{_AUXILIARY})\b|(?:,|\band|\bor|\bbut) "
    rf"(?:{_ASKS}|(?:is|are|was|were) there|which (?:show|have|of|are|is)"
    rf"|(?:do|does|did) (?:{_WE}|it|they|any|the))\b",
    re.IGNORECASE,
)
"""Where another question, or anything else, begins behind the first."""

SAID_ALONE = re.compile(
    rf"(?!(?:{_AUXILIARY}|am|may|might|must|if|how|why|whether|describe|explain|compare|write|name"
    r"|translate|ignore|guess|summari[sz]e|answer|say|repeat)\b)\S",
    re.IGNORECASE,
)
"""How what is no question, and tells nobody to do something, begins: `dogs in the snow`."""

_ENGLISH = (
    "the what which how are were does did show find any with where who when pictures there have "
    "yesterday today last ago between before after since until taken many from"
)
_OTHERS = (
    "wie viele wo ist sind im der das ein eine und gibt es haben wir welche zeig auf mit von zu "
    "nicht am bilder fotos le la les des une dans est sont combien avec sur il nous el los las una "
    "en que con hay lo gli uno nel nella quanti dove che di um uma na em quantos onde de het een "
    "hoeveel waar zijn van op met"
)
_SIGNS_OF_ENGLISH, _SIGNS_OF_OTHERS = frozenset(_ENGLISH.split()), frozenset(_OTHERS.split())


def looks_english(words: tuple[str, ...]) -> bool:
    """Whether rules may take parts of a question: not where it is of another language.

    So is one with words that are not of ASCII, or that others have, and none of the common ones
    that English alone has.
    """
    if not _SIGNS_OF_ENGLISH.isdisjoint(words):
        return True
    return all(word.isascii() for word in words) and _SIGNS_OF_OTHERS.isdisjoint(words)
