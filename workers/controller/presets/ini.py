"""llama.cpp's preset files, read as it reads them and changed line by line.

The grammar is that of `parse_ini_from_file` in llama.cpp's common/preset.cpp: `[section]` and
`key = value` begin at the start of a line; a comment begins at `;` or `#` wherever it stands, so a
value can hold neither; there are no quotes, no escapes, no values over several lines. Keys above
the first section belong to a section `default`; `version` is skipped. A section that comes twice is
what its last occurrence says; so is a key. Only blanks around a section's name are not kept here.

A line model of our own, since the libraries for INI round trips read another language: ConfigObj
5.0 refuses repeated sections and indented comments; ConfigUpdater 4.1 refuses keys above the first
section, drops the comment of a line that it changes and does not give an indented one back. Where a
comment begins behind a value, both decide otherwise than llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from common.engine_flags.words import FLAG_NAME

DEFAULT_SECTION = "default"
"""What llama.cpp calls the section of the keys above the first header."""

VERSION_KEY = "version"
"""Reserved by llama.cpp, which skips it in every section."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_HEADER = re.compile(r"\[[ \t]*+(?P<name>[^\]]+)\][ \t]*+(?:[;#].*)?")
_ENTRY = re.compile(r"(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)(?P<equals>[ \t]*+=[ \t]*+)(?P<rest>.*)")
_COMMENT = re.compile(r"[ \t]*+(?:[;#].*)?")
_NOTE = re.compile(r"[ \t]*+[;#][ \t]*+(?P<field>name|description)[ \t]*+:(?P<text>.*)", re.I)
_COMMENT_START = re.compile(r"[;#]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANKS = " \t"


class IniError(ValueError):
    """A text that llama.cpp would not read either. `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


@dataclass(frozen=True)
class Line:
    """One line as it stands; `text` is without its end, which is empty on a last line at most.

    `header` is the section that begins here. An entry has `key` and `value`, which stands between
    the columns of `span`. All are null on comments and blank lines.
    """

    text: str
    end: str = "\n"
    header: str | None = None
    key: str | None = None
    value: str = ""
    span: tuple[int, int] = (0, 0)

    def with_value(self, value: str) -> Line:
        """The same entry with another value; spacing and comment stay."""
        start, stop = self.span
        return _entry(self.text[:start] + value + self.text[stop:], self.end)


@dataclass(frozen=True)
class Document:
    """A preset file as lines. Every change gives a new document and keeps all other lines."""

    lines: tuple[Line, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Document:
        """Read a file. Raises `IniError` with the first line that is none of the four kinds."""
        return cls(tuple(_lines(text)))

    def __str__(self) -> str:
        return "".join(line.text + line.end for line in self.lines)

    @property
    def sections(self) -> dict[str, dict[str, str]]:
        """Section → key → value, as llama.cpp understands the file."""
        found: dict[str, dict[str, str]] = {}
        for name, start, stop in self._blocks():
            entries = {
                line.key: line.value
                for line in self.lines[start:stop]
                if line.key is not None and line.key != VERSION_KEY
            }
            if start < stop and self.lines[start].header is None and not entries:
                continue  # nothing but notes above the first section
            found[name] = entries
        return found

    def note(self, field: str) -> str | None:
        """What a leading comment `; field: …` says; llama.cpp ignores it."""
        place = self._note_place(field)
        match = _NOTE.fullmatch(self.lines[place].text) if place is not None else None
        return match["text"].strip() if match else None

    def with_note(self, field: str, text: str) -> Document:
        """The document with a leading comment `; field: text`; without it where text is empty."""
        lines, place = list(self.lines), self._note_place(field)
        fresh = [Line(f"; {field}: {text.strip()}", self._end)] if text.strip() else []
        if place is not None:
            lines[place : place + 1] = fresh
        else:
            # A description goes behind the name.
            above = self._note_place("name") if field != "name" else None
            at = 0 if above is None else above + 1
            lines[at:at] = fresh
        return self._with(lines)

    def with_section(self, name: str, entries: Mapping[str, str]) -> Document:
        """The document in which a section says `entries` and nothing else."""
        block = self._block(name)
        if block is None:
            return self._appended(name, entries)
        start, stop = block
        left = dict(entries)
        kept: list[Line] = []
        end_of_entries = 0
        for line in reversed(self.lines[start:stop]):  # of a key that comes twice the last counts
            if line.key is None or line.key == VERSION_KEY:
                kept.append(line)
            elif line.key in left:
                kept.append(line.with_value(left.pop(line.key)))
            else:
                continue
            if not end_of_entries and (line.key is not None or line.header is not None):
                end_of_entries = len(kept)
        kept.reverse()
        at = len(kept) - end_of_entries + 1 if end_of_entries else len(kept)
        kept[at:at] = [self._fresh(key, value) for key, value in left.items()]
        return self._with([*self.lines[:start], *kept, *self.lines[stop:]])

    def without_section(self, name: str) -> Document:
        """The document without a section; comments behind its last entry may be the next one's."""
        document = self
        while (block := document._block(name)) is not None:
            start, stop = block
            gone = document.lines[start:stop]
            if gone[0].header is None:  # above the first section stand the file's own comments
                kept = [line for line in gone if line.key in (None, VERSION_KEY)]
            else:
                said = [place for place, line in enumerate(gone) if line.key or line.header]
                kept = list(gone[said[-1] + 1 :])
            document = Document((*document.lines[:start], *kept, *document.lines[stop:]))
        return document

    @property
    def _end(self) -> str:
        """How lines end in this file."""
        return next((line.end for line in self.lines if line.end), "\n")

    def _blocks(self) -> Iterator[tuple[str, int, int]]:
        """(section, first line, line behind the last) of each, the lines above the first too."""
        starts = [place for place, line in enumerate(self.lines) if line.header is not None]
        bounds = [*starts, len(self.lines)]
        if bounds[0] > 0:
            yield DEFAULT_SECTION, 0, bounds[0]
        for start, stop in zip(starts, bounds[1:], strict=True):
            yield self.lines[start].header or "", start, stop

    def _block(self, name: str) -> tuple[int, int] | None:
        """The lines that decide what a section says: its last occurrence."""
        found: tuple[int, int] | None = None
        for block, start, stop in self._blocks():
            said = any(
                line.header is not None or (line.key is not None and line.key != VERSION_KEY)
                for line in self.lines[start:stop]
            )
            if block == name and said:
                found = (start, stop)
        return found

    def _note_place(self, field: str) -> int | None:
        for place, line in enumerate(self.lines):
            if line.header is not None or line.key is not None:
                return None
            match = _NOTE.fullmatch(line.text)
            if match and match["field"].lower() == field:
                return place
        return None

    def _appended(self, name: str, entries: Mapping[str, str]) -> Document:
        gap = [Line("", self._end)] if self.lines and self.lines[-1].text.strip() else []
        header = Line(f"[{name}]", self._end, header=name)
        fresh = [self._fresh(key, value) for key, value in entries.items()]
        return self._with([*self.lines, *gap, header, *fresh])

    def _fresh(self, key: str, value: str) -> Line:
        return _entry(f"{key} = {value}".rstrip(), self._end)

    def _with(self, lines: Sequence[Line]) -> Document:
        """These lines instead; what was the last one may have had no end."""
        ended = (line if line.end else replace(line, end=self._end) for line in lines)
        return Document(tuple(ended))


def writable_problem(section: str, key: str | None = None, value: str = "") -> str | None:
    """Why this cannot be written so that it is read back as it was given; null where it can."""
    if key is None:
        if not section or section != section.strip() or set(section) & set("]\r\n"):
            return "a section's name is not empty, on one line, and holds no ]"
        return "a section's name holds no control characters" if _CONTROL.search(section) else None
    if key == VERSION_KEY:
        return "`version` is the file's own and no flag"
    if not FLAG_NAME.fullmatch(key):
        return (
            "a key is a flag's name without its leading dashes: letters, digits, dots, dashes and"
            " underscores"
        )
    if _CONTROL.search(value) or set(value) & set("\r\n"):
        return "a value is one line without control characters"
    if _COMMENT_START.search(value):
        return "a value holds no ; and no #: a comment would begin there"
    if value != value.strip(_BLANKS):
        return "blanks at either end of a value would be lost"
    return None


def _lines(text: str) -> Iterator[Line]:
    if text.startswith("\ufeff"):
        raise IniError(1, "there is a byte order mark; save the file as UTF-8 without one")
    for number, match in enumerate(_LINE.finditer(text), 1):
        whole = match[0]
        body = whole.rstrip("\r\n")
        if _CONTROL.search(body):
            raise IniError(number, "there is a control character")
        if not _COMMENT.fullmatch(body):
            yield _header_or_entry(body, whole[len(body) :], number)
        else:
            yield Line(body, whole[len(body) :])


def _header_or_entry(body: str, end: str, number: int) -> Line:
    if body.startswith("["):
        match = _HEADER.fullmatch(body)
        if not match:
            raise IniError(number, "a section is written as [its name]")
        return Line(body, end, header=match["name"].rstrip(_BLANKS))
    if not _ENTRY.fullmatch(body):
        raise IniError(
            number,
            "it is no [section], no key = value and no comment; keys begin at the line's start and"
            " with a letter",
        )
    return _entry(body, end)


def _entry(body: str, end: str) -> Line:
    match = _ENTRY.fullmatch(body)
    if match is None:
        raise IniError(1, f"{body[:80]!r} is no entry")
    comment = _COMMENT_START.search(match["rest"])
    value = (match["rest"][: comment.start()] if comment else match["rest"]).rstrip(_BLANKS)
    start = match.start("rest")
    return Line(body, end, key=match["key"], value=value, span=(start, start + len(value)))
