"""How a text model is asked a question about pictures that it knows by captions alone."""

from __future__ import annotations

ANSWER = (
    "Captions of pictures:\n{captions}\nQuestion: {question}\n"
    'Answer from these captions alone; if they do not tell, say "the captions do not say":'
)

SEEN_WITH = (
    "{shown}\nCaptions of pictures:\n{captions}\nQuestion: {question}\n"
    "Answer in one short sentence from the pictures and these captions; if they do not tell, say "
    '"the captions do not say":'
)
"""For a model that sees; the pictures come before it."""

SEEN_ALONE = (
    "{shown}\nQuestion: {question}\nAnswer in one short sentence; if the pictures do not tell, say "
    '"the captions do not say":'
)
"""The same where no picture has a caption."""

LISTED = "[{number}] {caption}"
"""A line of `ANSWER`; numbers from 1 on, as pictures are cited by them."""

NOT_SAID = "the captions do not say"
