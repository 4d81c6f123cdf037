"""What a request to save makes of a preset's file. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from common.api.presets import ConfigFinding, SavePreset, ValidateConfig
from common.errors import InvalidRequest
from workers.controller.presets import checks
from workers.controller.presets.collection import DESCRIPTION_NOTE, NAME_NOTE, Entry
from workers.controller.presets.ini import Document, IniError

NEW_FILE = Document.parse("version = 1\n")
"""The version of llama.cpp's format, which it reserves."""


def refuse_contradictory(request: SavePreset | ValidateConfig, command: str) -> None:
    """Raise `InvalidRequest` for a request that says nothing, or two things."""
    if request.config is not UNSET and request.content is not UNSET:
        raise InvalidRequest(f"{command} takes config or content, not both")
    if request.config is UNSET and request.content is UNSET:
        raise InvalidRequest(f"{command} takes config, or the whole file as content")


def proposed(
    request: SavePreset, before: Entry | None
) -> tuple[Document | None, tuple[ConfigFinding, ...]]:
    """The new document; null where there can be none, with what is wrong with the request."""
    wrong = tuple(_wrong(request, before))
    if wrong:
        return None, wrong
    try:
        document = _document(request, before)
    except IniError as error:
        return None, (checks.about_the_whole(str(error)),)
    for field, text in _notes(request):
        document = document.with_note(field, text)
    return document, ()


def _document(request: SavePreset, before: Entry | None) -> Document:
    if request.content is not UNSET:
        return Document.parse(request.content)
    document = before.document if before is not None else NEW_FILE
    if request.config is not UNSET:
        for section, entries in request.config.items():
            if entries is None:
                document = document.without_section(section)
            else:
                document = document.with_section(section, entries)
    return document


def _wrong(request: SavePreset, before: Entry | None) -> Iterator[ConfigFinding]:
    for field, text in _notes(request):
        if problem := checks.note_problem(field, text):
            yield problem
    if request.config is not UNSET:
        yield from checks.unwritable(request.config)
        if before is not None and before.problem is not None:
            yield checks.about_the_whole(
                "the file on disk cannot be changed section by section, only replaced by"
                f" `content`: {before.problem}"
            )


def _notes(request: SavePreset) -> Iterator[tuple[str, str]]:
    # The name first: a description is put behind it.
    for field, text in ((NAME_NOTE, request.name), (DESCRIPTION_NOTE, request.description)):
        if text is not UNSET:
            yield field, text
