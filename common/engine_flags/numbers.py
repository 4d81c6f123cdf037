"""What llama.cpp's help does not say of numbers: their bounds, and words that stand for some.

Bounds are checked before an engine starts, since some values make it abort or take all memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.api.parameters import Range

INT_MAX = 2**31 - 1
"""The largest value of an `int` flag in llama.cpp, unless a line below says less."""

LONGEST_CONTEXT = 2**24
"""More tokens than any published model was trained with (ten million). A slip beyond it has
llama.cpp allocate until the machine has no memory left."""

SHORTEST_CONTEXT = 8
"""llama.cpp aborts at 1; a chat's own marks take as many tokens as this. 0 asks for the model's."""

SMALL_CONTEXT = 4096
"""Conversations outgrow what is below it within a few turns."""

# Some numbers stand for `auto`, `off` or `no limit`: they lie within the bounds, as -1 does.
_BOUNDS: Mapping[str, tuple[float, float | None]] = {
    "ctx-size": (0, LONGEST_CONTEXT),
    "fit-ctx": (0, LONGEST_CONTEXT),
    "yarn-orig-ctx": (0, LONGEST_CONTEXT),
    "kv-unified-per-slot": (0, LONGEST_CONTEXT),
    "n-predict": (-1, None),
    "keep": (-1, None),
    "batch-size": (1, 2**20),
    "ubatch-size": (1, 2**20),
    **dict.fromkeys(
        (
            *("threads", "threads-batch", "threads-http"),
            *("spec-draft-threads", "spec-draft-threads-batch"),
        ),
        (-1, 1024),
    ),
    "prio": (-1, 3),
    **dict.fromkeys(("prio-batch", "spec-draft-prio", "spec-draft-prio-batch"), (0, 3)),
    "poll": (0, 100),
    **dict.fromkeys(("n-gpu-layers", "spec-draft-ngl"), (-2, 10_000)),
    **dict.fromkeys(("n-cpu-moe", "n-cpu-ffn", "spec-draft-n-cpu-moe"), (0, 10_000)),
    "main-gpu": (0, 255),
    "parallel": (-1, 1024),
    "seed": (-1, 2**32 - 1),
    "temp": (0, 100),
    "top-k": (0, None),
    **dict.fromkeys(("top-p", "min-p", "typical", "xtc-probability", "xtc-threshold"), (0, 1)),
    **dict.fromkeys(("spec-draft-p-split", "spec-draft-p-min"), (0, 1)),
    "adaptive-target": (-1, 1),
    "adaptive-decay": (0, 0.99),
    **dict.fromkeys(("repeat-last-n", "dry-penalty-last-n"), (0, None)),
    **dict.fromkeys(("presence-penalty", "frequency-penalty"), (-100, 100)),
    # Above 0 for llama.cpp.
    "repeat-penalty": (0.01, 100),
    "dynatemp-range": (0, 100),
    "mirostat": (0, 2),
    **dict.fromkeys(("spec-draft-n-max", "spec-draft-n-min"), (0, 1024)),
    **dict.fromkeys(("spec-ngram-mod-n-min", "spec-ngram-mod-n-max"), (0, 1024)),
    **dict.fromkeys(
        (
            "spec-ngram-mod-n-match",
            *("spec-ngram-simple-size-n", "spec-ngram-simple-size-m"),
            *("spec-ngram-map-k-size-n", "spec-ngram-map-k-size-m"),
            *("spec-ngram-map-k4v-size-n", "spec-ngram-map-k4v-size-m"),
        ),
        (1, 1024),
    ),
    **dict.fromkeys(
        (
            *("spec-ngram-simple-min-hits", "spec-ngram-map-k-min-hits"),
            "spec-ngram-map-k4v-min-hits",
        ),
        (1, None),
    ),
    "ctx-checkpoints": (0, 10_000),
    "checkpoint-min-step": (0, None),
    "cache-ram": (-1, None),
    "cache-reuse": (0, None),
    "image-min-tokens": (1, None),
    "image-max-tokens": (1, None),
    "slot-prompt-similarity": (0, 1),
    "port": (0, 65_535),
    "timeout": (1, None),
    "sse-ping-interval": (-1, None),
    "sleep-idle-seconds": (-1, None),
    "reasoning-budget": (-1, None),
    "models-max": (0, None),
    "verbosity": (0, None),
}

# What lies within the bounds and is refused all the same, both ends included, and what to say.
_GAPS: Mapping[str, tuple[float, float, str]] = {
    "ctx-size": (
        *(1, SHORTEST_CONTEXT - 1),
        f"0 (the model's own) or a number from {SHORTEST_CONTEXT} to {LONGEST_CONTEXT}",
    ),
    "sleep-idle-seconds": (0, 0, "-1 (never) or a number of at least 1"),
}

_LAYER_WORDS = ("auto", "all")

WORDS: Mapping[str, tuple[str, ...]] = {
    "n-gpu-layers": _LAYER_WORDS,
    "spec-draft-ngl": _LAYER_WORDS,
}
"""Words that a flag takes beside numbers."""

FRACTIONS = frozenset(
    {"rope-scale", "rope-freq-base", "rope-freq-scale", "defrag-thold", "spec-synth-len"}
)
"""Flags with decimal numbers whose default does not show it."""


def range_of(name: str) -> Range | None:
    """The bounds of a flag by its canonical name."""
    if name not in _BOUNDS:
        return None
    minimum, maximum = _BOUNDS[name]
    return Range(min=minimum, max=maximum)


def misfit(name: str, value: float, limits: Range | None, *, whole: bool) -> str | None:
    """What a number should be instead, as in `a number from 0 to 100`; None where it is right."""
    low = limits.min if limits else None
    high = limits.max if limits else None
    if whole:
        low = -INT_MAX - 1 if low is None else low
        high = INT_MAX if high is None else high
    if (gap := _GAPS.get(name)) and gap[0] <= value <= gap[1]:
        return gap[2]
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    if high is None:
        return f"a number of at least {low:g}"
    if low is None:
        return f"a number of at most {high:g}"
    return f"a number from {_plain(low)} to {_plain(high)}"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"
