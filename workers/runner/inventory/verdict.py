"""Whether a model could be loaded, judged by its files' names, sizes and headers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from common.api.inventory import FileState
from workers.runner.inventory.file_facts import FileFacts
from workers.runner.inventory.model_files import ModelGroup

Verdict = tuple[FileState, str | None]
"""The state, and where it is not `ok` the reason in a sentence."""

_NO_MODELS = {
    "adapter": "an adapter (LoRA), which is loaded together with its base model",
    "imatrix": "an importance matrix, which is used to quantize a model",
    "mmproj": "a multimodal projector, which has mmproj in its name when it belongs to a model",
}


@dataclass(frozen=True, slots=True)
class LookedAt:
    """One file of a model as it is now; `changing` if it changed a moment ago."""

    name: str
    size_bytes: int
    facts: FileFacts
    changing: bool

    @property
    def too_short(self) -> bool:
        """Whether its header or its tensors go on beyond its end."""
        return self.facts.cut_short or self.facts.end > self.size_bytes

    @property
    def growing(self) -> bool:
        """Whether it is too short and likely to be still on its way."""
        return self.too_short and self.changing


def judge(group: ModelGroup, files: list[LookedAt]) -> Verdict:
    """The verdict on a model whose `group.files` look like `files`, one each.

    What waiting cannot mend comes first, then what is still to come, then what should have come.
    """
    for file in files:
        if file.facts.error and not file.facts.cut_short:
            return "error", _named(group, file, file.facts.error)
    if group.missing:
        return "incomplete", _missing(group)
    for file in files:
        if file.growing:
            return "incomplete", _named(
                group, file, f"The file is still being written: {file.size_bytes:,} bytes so far."
            )
    for file in files:
        if file.too_short:
            return "error", _named(group, file, file.facts.error or _truncated(file))
    reason = _shards_disagree(group, files) or _no_model(files)
    return ("error", reason) if reason else ("ok", None)


def _named(group: ModelGroup, file: LookedAt, reason: str) -> str:
    return reason if group.shard_count == 1 else f"{file.name}: {reason}"


def _missing(group: ModelGroup) -> str:
    names = ", ".join(group.missing)
    unnamed = group.shard_count - len(group.files) - len(group.missing)
    more = f" and {unnamed:,} more" if unnamed else ""
    return f"Of {group.shard_count:,} shards these are missing: {names}{more}."


def _truncated(file: LookedAt) -> str:
    return (
        f"The file ends at byte {file.size_bytes:,} but its tensors need {file.facts.end:,}: "
        "was its download or copy cut short?"
    )


def _shards_disagree(group: ModelGroup, files: list[LookedAt]) -> str | None:
    for number, file in zip(group.numbers, files, strict=True):
        count = file.facts.split_count or 1
        if count != group.shard_count:
            return (
                f"{file.name}: By its name it is one of {group.shard_count:,} shards, "
                f"by its header one of {count:,}."
            )
        if count > 1 and file.facts.split_number != number - 1:
            return f"{file.name}: Its header says that it is another shard of the set."
    return None


def _no_model(files: list[LookedAt]) -> str | None:
    first = files[0].facts
    kind = "mmproj" if first.architecture == "clip" else first.kind
    if kind in _NO_MODELS:
        return f"The file is no model but {_NO_MODELS[kind]}."
    if first.architecture is None:
        return "The file does not say its architecture (general.architecture)."
    if not any(file.facts.tensor_count for file in files):
        return "The file holds no tensors: it is a vocabulary or an empty shell."
    return None
