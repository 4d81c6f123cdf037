"""Which multimodal projector (`mmproj` file) goes with which model. Pure: names in, a name out.

llama.cpp takes a model's image or audio encoder from a second file, which publishers put beside
the model under a name with `mmproj` in it: `mmproj-F16.gguf`, or `mmproj-Qwen2-VL-7B-f16.gguf`
where one directory holds several models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

_MARK = "mmproj"
_SAYS_NOTHING = frozenset({"", "0", "bf16", "f16", "f32", "fp16", "fp32", "gguf", "model", "q8"})
_PRECISIONS = ("f16", "bf16", "f32", "fp16", "fp32")
"""Best first: F16 is what llama.cpp's own examples use and what runs on every GPU."""


def is_projector(path: str) -> bool:
    """Whether the file is a projector, by its name."""
    return _MARK in PurePosixPath(path).name.lower()


def projector_of(model: str, projectors: Iterable[str], neighbours: Iterable[str]) -> str | None:
    """The path of the projector for `model`, among `projectors` of the same directory.

    `neighbours` are all models of the directory, `model` among them. A projector whose name names
    some of them belongs to these; any other belongs to all.
    """
    all_words = [_words(name) for name in neighbours]
    model_words = _words(model)
    ranked = []
    for projector in projectors:
        words = _words(projector) - _SAYS_NOTHING
        named = words <= model_words
        if named or not any(words <= others for others in all_words):
            ranked.append((-len(words) if named else 0, _precision(projector), projector))
    return min(ranked)[-1] if ranked else None


def _words(path: str) -> frozenset[str]:
    name = PurePosixPath(path).name.lower().removesuffix(".gguf").replace(_MARK, "-")
    return frozenset(word.strip(".") for word in re.split(r"[-_\s]+", name))


def _precision(path: str) -> int:
    words = _words(path)
    return next((i for i, name in enumerate(_PRECISIONS) if name in words), len(_PRECISIONS))
