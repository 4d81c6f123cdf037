"""The grammar that the demo model babbles by: which words it knows and which may follow which.

A sentence is a row of slots: `The old sailor paints a yellow boat near rivers.` Each slot has words
of its own, so the last word alone tells which slots may come next. No slot leads back to an earlier
one but through the full stop, where a text may end: so every text ends, even one that always takes
the likeliest word.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SPACE = "\u2581"
"""How a SentencePiece vocabulary writes the space before a word."""

TokenKind = Literal["word", "unknown", "control", "byte"]


@dataclass(frozen=True, slots=True)
class Token:
    """One entry of the vocabulary. `slot` is where in a sentence it stands."""

    text: str
    kind: TokenKind
    slot: str


PROMPT = "prompt"
"""The slot of all that is no word of ours: a text begins after it, and none holds it."""
FULL_STOP = "full stop"
END = "end"

BOS_ID = 1
EOS_ID = 2

_FIRST = "The Every One Our"
_FIRST_ADVERBS = "Sometimes Today Tomorrow Later"
_SLOTS: dict[str, tuple[str, ...]] = {
    "beginning": tuple(_FIRST.split()),
    "adverb at the beginning": tuple(_FIRST_ADVERBS.split()),
    "determiner": tuple(SPACE + word for word in _FIRST.split()),
    "adverb": tuple(SPACE + word for word in _FIRST_ADVERBS.split()),
    **{
        slot: tuple(SPACE + word for word in words.split())
        for slot, words in {
            "determiner after an adverb": "the every one our",
            "quality": "old young quiet clever sleepy brave gentle curious tiny proud happy lazy",
            "subject": "sailor teacher painter farmer baker dragon robot rabbit owl fox whale "
            "spider wizard gardener pilot llama kitten giant drummer captain",
            "verb": "paints finds carries follows remembers builds draws hides opens sells "
            "borrows watches repairs greets imagines describes",
            "article": "a another this her his their",
            "look": "yellow silver wooden broken golden heavy paper purple crooked frozen striped",
            "object": "boat lantern window ladder letter garden clock bridge kite basket mirror "
            "bicycle song map teapot violin bucket staircase pumpkin cloud",
            "preposition": "near behind beside before without despite",
            "place": "rivers mountains Paris libraries home trees winter breakfast midnight "
            "Sundays music",
        }.items()
    },
    FULL_STOP: (".",),
}

FOLLOWERS: dict[str, tuple[str, ...]] = {
    PROMPT: ("beginning", "adverb at the beginning"),
    "beginning": ("quality", "subject"),
    "adverb at the beginning": ("determiner after an adverb",),
    "determiner": ("quality", "subject"),
    "adverb": ("determiner after an adverb",),
    "determiner after an adverb": ("quality", "subject"),
    "quality": ("subject",),
    "subject": ("verb",),
    "verb": ("article",),
    "article": ("look", "object"),
    "look": ("object",),
    "object": ("preposition", FULL_STOP),
    "preposition": ("place",),
    "place": (FULL_STOP,),
    FULL_STOP: ("determiner", "adverb", END),
}
"""Slot → the slots whose words may come next."""

WEIGHTS: dict[str, float] = {FULL_STOP: 4.0, END: 2.5}
"""How much likelier than any other word of the followers a slot's only word is."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}{{ message['content'] }}{{ '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)


def vocabulary() -> list[Token]:
    """All tokens by id: special ones, the 256 bytes, single characters, the words."""
    return list(_tokens())


def _tokens() -> Iterator[Token]:
    yield Token("<unk>", "unknown", PROMPT)
    yield Token("<s>", "control", PROMPT)
    yield Token("</s>", "control", END)
    for byte in range(256):
        yield Token(f"<0x{byte:02X}>", "byte", PROMPT)
    yield Token("<|im_start|>", "control", PROMPT)
    yield Token("<|im_end|>", "control", PROMPT)
    words = {word: slot for slot, words in _SLOTS.items() for word in words}
    for character in (SPACE, *string.ascii_letters, *string.digits, *",!?'-:;"):
        if character not in words:
            yield Token(character, "word", PROMPT)
    for word, slot in words.items():
        yield Token(word, "word", slot)
