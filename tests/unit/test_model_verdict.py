"""Whether a model could be loaded, and what its user is told."""

from __future__ import annotations

import msgspec
import pytest

from workers.runner.inventory.file_facts import FileFacts
from workers.runner.inventory.model_files import FoundFile, ModelGroup
from workers.runner.inventory.verdict import LookedAt, Verdict, judge

FINE = FileFacts(end=100, tensor_count=3, parameter_count=9, architecture="llama")
EMPTY = FileFacts(error="The file is empty.", cut_short=True)
GARBAGE = FileFacts(error="It is no GGUF file.")


def looked_at(
    facts: FileFacts = FINE, *, size_bytes: int = 100, changing: bool = False, name: str = "m.gguf"
) -> LookedAt:
    return LookedAt(name, size_bytes, facts, changing)


def verdict_on_one(file: LookedAt) -> Verdict:
    return judge(ModelGroup("m", (FoundFile("m.gguf", file.size_bytes, 1),)), [file])


def shard(number: int, count: int = 2) -> FileFacts:
    return msgspec.structs.replace(FINE, split_number=number - 1, split_count=count)


def verdict_on_two(*files: LookedAt, missing: tuple[str, ...] = ()) -> Verdict:
    found = tuple(FoundFile(file.name, file.size_bytes, 1) for file in files)
    numbers = tuple(range(1, len(files) + 1))
    return judge(ModelGroup("m", found, numbers, shard_count=2, missing=missing), list(files))


def test_a_whole_model_is_ok() -> None:
    assert verdict_on_one(looked_at()) == ("ok", None)
    assert verdict_on_one(looked_at(changing=True)) == ("ok", None)
    assert verdict_on_one(looked_at(size_bytes=132)) == ("ok", None)


def test_a_file_that_still_grows_is_incomplete() -> None:
    assert verdict_on_one(looked_at(size_bytes=60, changing=True)) == (
        "incomplete",
        "The file is still being written: 60 bytes so far.",
    )
    assert verdict_on_one(looked_at(EMPTY, size_bytes=0, changing=True))[0] == "incomplete"


def test_a_file_that_stopped_growing_too_early_is_truncated() -> None:
    assert verdict_on_one(looked_at(size_bytes=60)) == (
        "error",
        "The file ends at byte 60 but its tensors need 100: was its download or copy cut short?",
    )
    assert verdict_on_one(looked_at(EMPTY, size_bytes=0)) == ("error", "The file is empty.")


def test_waiting_does_not_mend_garbage() -> None:
    assert verdict_on_one(looked_at(GARBAGE, changing=True)) == ("error", "It is no GGUF file.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "adapter"}, "no model but an adapter"),
        ({"kind": "imatrix"}, "no model but an importance matrix"),
        ({"architecture": "clip"}, "no model but a multimodal projector"),
        ({"architecture": None}, "does not say its architecture"),
        ({"tensor_count": 0}, "holds no tensors"),
        ({"split_count": 3}, "By its name it is one of 1 shards, by its header one of 3"),
    ],
)
def test_what_is_no_model_says_so(change: dict[str, object], reason: str) -> None:
    facts = msgspec.structs.replace(FINE, **change)
    state, said = verdict_on_one(looked_at(facts))
    assert state == "error"
    assert reason in str(said)


def test_a_whole_set_is_ok() -> None:
    assert verdict_on_two(looked_at(shard(1)), looked_at(shard(2))) == ("ok", None)
    # A first shard may hold the vocabulary only.
    vocabulary = msgspec.structs.replace(shard(1), tensor_count=0)
    assert verdict_on_two(looked_at(vocabulary), looked_at(shard(2))) == ("ok", None)


def test_a_set_names_what_is_missing() -> None:
    assert verdict_on_two(looked_at(shard(1)), missing=("m-00002-of-00002.gguf",)) == (
        "incomplete",
        "Of 2 shards these are missing: m-00002-of-00002.gguf.",
    )
    group = ModelGroup("m", (FoundFile("x", 1, 1),), (1,), shard_count=70, missing=("b", "c", "d"))
    reason = judge(group, [looked_at(shard(1, 70))])[1]
    assert reason == "Of 70 shards these are missing: b, c, d and 66 more."


def test_a_set_names_the_shard_at_fault() -> None:
    whole = looked_at(shard(1), name="one")
    state, reason = verdict_on_two(whole, looked_at(shard(2), size_bytes=9, name="two"))
    assert state == "error"
    assert str(reason).startswith("two: The file ends at byte 9 but its tensors need 100")
    growing = looked_at(shard(2), size_bytes=9, name="two", changing=True)
    assert verdict_on_two(whole, growing)[0] == "incomplete"
    assert verdict_on_two(looked_at(GARBAGE, name="one"), growing) == (
        "error",
        "one: It is no GGUF file.",
    )


def test_shards_have_to_agree_with_their_names() -> None:
    of_three = looked_at(shard(2, count=3), name="two")
    assert "by its header one of 3" in str(verdict_on_two(looked_at(shard(1)), of_three)[1])
    swapped = verdict_on_two(looked_at(shard(2)), looked_at(shard(1)))
    assert swapped[0] == "error"
    assert "another shard of the set" in str(swapped[1])
    assert verdict_on_two(looked_at(FINE), looked_at(FINE))[0] == "error"
