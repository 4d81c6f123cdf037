"""What kind of value a flag takes, from how its help writes it: `N`, `FNAME`, `[on|off|auto]` …"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from common.api.parameters import ParameterType
from common.engine_flags.numbers import FRACTIONS, WORDS
from common.engine_flags.words import TRUE_WORDS, is_decimal, is_whole

_PLACE = re.compile(
    r"(^|[^A-Za-z])(FNAME|FILE|PATH|DIR|DIRECTORY|URL|URI|[A-Z]+_(FILE|PATH|DIR|URL))([^A-Za-z]|$)"
    r"|<(user|repo)>|\[<repo>"
)
_PLACE_IN_TEXT = re.compile(r"\b(path|file|directory|url|uri)\b", re.IGNORECASE)
_BRACKETS = (("[", "]", "|"), ("{", "}", ","), ("<", ">", "|"))
_WORD = re.compile(r"[a-z0-9][a-z0-9_.+-]*")
_LIST = re.compile(r"[a-z0-9-]+(,[a-z0-9-]+)+")
_ALLOWED = re.compile(r"allowed values: ([a-z0-9_]+(?:, [a-z0-9_]+)*)")
_BULLET = re.compile(r"- ([a-z][a-z0-9+_-]*)(?: \(default\))?: ")
_DEFAULT = re.compile(r"\(?default: (?:'([^']*)'|\"([^\"]*)\"|([^\s,()]*))")
_MARKED_DEFAULT = re.compile(r"- ([a-z0-9_+-]+) \(default\)")
_NOTHING = frozenset({"none", "unused", "unset", "disabled"})
_SWITCH_DEFAULT = re.compile(r"default: [^()]*?\b(enabled|disabled|true|false|on|off)\b")
_IN_PARENTHESES = re.compile(r"\(default: [^()]*\)")
_NUMBER_FORMS = frozenset({"N", "P", "L", "INDEX", "SEED", "PORT", "SECONDS", "SIMILARITY"})


@dataclass(frozen=True)
class ValueForm:
    """The type, the literal default (empty: none) and the choices of a flag.

    `default_phrase` is the part of the help's text that says no more than this default.
    """

    type: ParameterType
    default: str
    choices: tuple[str, ...] = ()
    default_phrase: str = ""


def value_form(name: str, value: str, lines: Sequence[str], said: str) -> ValueForm:
    """What a flag takes: `value` is how its help writes the value, `said` its whole text.

    `lines` are the text's lines, since a list of words with an explanation each goes by lines.
    """
    given, phrase = _default(said)
    if not value:
        return ValueForm("bool", switch_default(said), (), phrase)
    if name in WORDS:
        return ValueForm("int", given, WORDS[name], phrase)
    if choices := _choices(value, lines, said):
        # `<0|1>` is a choice of two; where text knows one more word than the list, it is added.
        more = (given,) if _WORD.fullmatch(given) and given not in choices else ()
        marked = _MARKED_DEFAULT.search(said)
        return ValueForm("enum", marked[1] if marked else given, choices + more, phrase)
    if _LIST.fullmatch(value):
        return ValueForm("string", given, tuple(value.split(",")), phrase)
    if _PLACE.search(value):
        return ValueForm("path", "", (), phrase)
    if number := _number(name, value, given):
        return ValueForm(number, given if is_decimal(given) else "", (), phrase)
    if _PLACE_IN_TEXT.search(said.partition(".")[0]):
        return ValueForm("path", "", (), phrase)
    return ValueForm("string", "" if given in _NOTHING else given, (), phrase)


def switch_default(said: str) -> str:
    """`true` or `false` from how llama.cpp tells a switch's default; empty where it does not."""
    found = _SWITCH_DEFAULT.search(said)
    if not found:
        return ""
    return "true" if found[1] in TRUE_WORDS else "false"


def _choices(value: str, lines: Sequence[str], said: str) -> tuple[str, ...]:
    for begin, end, divider in _BRACKETS:
        if value.startswith(begin) and value.endswith(end):
            words = value[1:-1].split(divider)
            if len(words) > 1 and all(_WORD.fullmatch(word) for word in words):
                return tuple(words)
    if value in _NUMBER_FORMS:
        return ()
    if allowed := _ALLOWED.search(said):
        return tuple(allowed[1].split(", "))
    return tuple(bullet[1] for line in lines if (bullet := _BULLET.match(line)))


def _number(name: str, value: str, given: str) -> ParameterType | None:
    if "," in value or not (value in _NUMBER_FORMS or "..." in value or is_decimal(given)):
        return None
    if name in FRACTIONS or value in ("P", "L"):
        return "float"
    if is_whole(given):
        return "int"
    return "float" if is_decimal(given) else "int"


def _default(said: str) -> tuple[str, str]:
    """The literal default, empty where it is told in words, and the phrase that tells it."""
    found = _DEFAULT.search(said)
    if not found:
        return "", ""
    # Either `-1; -1 = disabled` or `penalties;dry;…`.
    literal = next((group for group in found.groups() if group is not None), "").rstrip(";")
    rest = said[found.end() :]
    ends_here = not rest or rest[0] in ");" or rest.startswith((", ", " ("))
    if literal.startswith("--") or (not ends_here and said[found.end() - 1] != ";"):
        # Another flag's value, or more words follow: `loaded from model`.
        return "", ""
    if rest.startswith(",") and not is_decimal(literal) and not _WORD.fullmatch(literal):
        return "", ""
    phrase = _IN_PARENTHESES.match(said, found.start())
    says_more = phrase is None or "," in phrase[0] or " " in phrase[0].removeprefix("(default: ")
    return literal, "" if phrase is None or says_more else phrase[0]
