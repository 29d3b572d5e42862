"""What the spaces are called on the pages: plain words first, the field's terms beside them."""

from __future__ import annotations

from dataclasses import dataclass

from engine.types import DescribeSpace, SearchSpace


@dataclass(frozen=True)
class SpaceWords:
    """A space in plain words, the field's term for it, and what it does in a sentence."""

    plain: str
    term: str
    told: str

    @property
    def both(self) -> str:
        """For lists with room: the plain words, the term behind them."""
        return f"{self.plain} ({self.term})"


SPACES: dict[SearchSpace, SpaceWords] = {
    "mapped": SpaceWords(
        "by meaning", "mapped", "Pictures are carried across the gap to where words are."
    ),
    "raw": SpaceWords("by plain CLIP", "raw", "As CLIP alone sees it, without the map."),
    "caption": SpaceWords(
        "by captions' meaning", "caption", "Your words against what is written of the pictures."
    ),
    "words": SpaceWords(
        "by exact words", "BM25", "The very words of the captions; what a “−” leaves out stays."
    ),
    "fused": SpaceWords(
        "by all together", "fused", "Meaning, captions and exact words, joined by their ranks."
    ),
}
"""Where pictures are looked for."""

DESCRIBE_SPACES: dict[DescribeSpace, SpaceWords] = {
    "mapped": SPACES["mapped"],
    "raw": SPACES["raw"],
    "fused": SpaceWords("by both together", "fused", "Both lists, joined by their ranks."),
}
"""Where captions are looked for that a description is made of."""
