"""How a text model is asked a question about pictures that it knows by captions alone."""

from __future__ import annotations

ANSWER = (
    "Captions of pictures:\n{captions}\nQuestion: {question}\n"
    'Answer from these captions alone; if they do not tell, say "the captions do not say":'
)

LISTED = "[{number}] {caption}"
"""A line of `ANSWER`; numbers from 1 on, as pictures are cited by them."""

NOT_SAID = "the captions do not say"
