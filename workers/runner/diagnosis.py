"""Why an engine ended, told from its exit code and its last lines. Pure.

The patterns are what llama-server and its libraries print; each was seen, or is in llama.cpp's
sources (common/arg.cpp, ggml/src/gguf.cpp, src/llama-model-loader.cpp, the ggml back ends).
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from workers.runner.output import level_of, message_of

Reason = Literal[
    "out_of_memory",
    "bad_argument",
    "corrupt_file",
    "not_a_model",
    "unsupported_model",
    "unreadable_file",
    "port_taken",
    "missing_library",
    "engine_missing",
    "killed",
    "aborted",
    "unknown",
]


@dataclass(frozen=True)
class Diagnosis:
    """A stable word for programs, a sentence for people, and what they can do."""

    reason: Reason
    sentence: str
    hint: str


@dataclass(frozen=True)
class _Rule:
    """`sentence` may quote the line's message as {message} and the pattern's group as {found}."""

    reason: Reason
    sentence: str
    hint: str
    pattern: re.Pattern[str]


def _rule(reason: Reason, sentence: str, hint: str, *patterns: str) -> _Rule:
    return _Rule(reason, sentence, hint, re.compile("|".join(patterns)))


_LESS_MEMORY = (
    "Choose a smaller model or quantization, a smaller context (ctx-size), fewer layers on the GPU "
    "(n-gpu-layers), or unload another model."
)
_NEW_DOWNLOAD = "Download or copy the file again; if that does not help, try a newer llama.cpp."
_OTHER_FLAGS = (
    "A flag's value out of range can cause this, or a fault of llama.cpp: try without flags, then "
    "another version."
)

# `srv    load_model: `, `llama_model_load: error loading model: `: where in llama.cpp it was said.
_ORIGIN = re.compile(r"^(?:\w{3} +)?\w+: (?:error loading model: )?")

# The first rule that fits any line decides: causes stand before their consequences.
_RULES = (
    _rule(
        "missing_library",
        "The engine cannot start: the library {found} is missing.",
        "Install it: libgomp.so.1 is in the package libgomp1, libcuda.so.1 in the NVIDIA driver, "
        "libcudart and libcublas in the CUDA runtime.",
        r"error while loading shared libraries: (\S+?):",
    ),
    _rule(
        "bad_argument",
        "The engine does not know the flag {found}.",
        "Flags differ between versions of llama.cpp: see what this one accepts with --help.",
        r"error: invalid argument: (.+)",
    ),
    _rule(
        "bad_argument",
        "The engine refused a flag's value: {found}",
        "Correct the value: --help says what is allowed.",
        r"error while handling (?:argument|environment variable) (.+)",
    ),
    _rule(
        "bad_argument",
        "The engine refused its flags: {message}",
        "Correct or remove the flag: --help says what is allowed.",
        r"error: --model is required",
        r"invalid value for main_gpu",
        r"chat template is not supported",
    ),
    _rule(
        "bad_argument",
        "The chat template cannot be used: {found}",
        "Give another one with chat-template, or turn templates off with no-jinja.",
        r"common_chat_templates_init: (?:error: )?(.+)",
    ),
    _rule(
        "port_taken",
        "The engine could not listen on {found}.",
        "Another process uses the port, or the address (runner.engineHost) is not this host's.",
        r"couldn't bind HTTP server socket, hostname: (.+)",
    ),
    _rule(
        "out_of_memory",
        "There is not enough memory: {message}",
        _LESS_MEMORY,
        r"[Oo]ut of memory",
        r"OutOf(?:Device|Host)Memory",
        r"std::bad_alloc",
        r"unable to allocate \S+ buffer",
        r"failed to allocate (?!.*pinned)",
    ),
    _rule(
        "unreadable_file",
        "A file cannot be opened: '{found}",
        "Check the path and its permissions; all shards of a model belong in one directory.",
        r"failed to open (?:GGUF file )?'(.+)",
    ),
    _rule(
        "not_a_model",
        "The file is not a GGUF model: {message}",
        "Download the model again, as a .gguf file.",
        r"invalid magic characters",
        r"failed to read magic",
    ),
    _rule(
        "not_a_model",
        "The file is the projector of a multimodal model, not a model.",
        "Load the model that it belongs to; the projector is added with mmproj.",
        r"CLIP cannot be used as main model",
    ),
    _rule(
        "unsupported_model",
        "This llama.cpp does not know the model's architecture, {found}.",
        "Use a newer llama.cpp: set llama.serverPath to it, or update the embedded engine.",
        r"unknown model architecture: (.+)",
    ),
    _rule(
        "unsupported_model",
        "This llama.cpp cannot load the file: {message}",
        "Use a newer llama.cpp, or a newer conversion of the model.",
        r"only supports up to version",
        r"GGUFv1 is no longer supported",
        r"unsupported model architecture",
        r"unknown pre-tokenizer type",
        r"must be loaded with the first split",
    ),
    _rule(
        "corrupt_file",
        "The file is damaged or incomplete: {message}",
        _NEW_DOWNLOAD,
        r"is not within the file bounds",
        r"gguf_init_from_\w+: .*failed to read",
        r"exceeds (?:maximum|remaining file size)",
        r"tensor '.*' not found",
        r"tensor '.*' has (?:invalid|offset)",
        r"missing tensor",
        r"wrong number of tensors",
        r"corrupted model",
        r"invalid model: ",
        r"key not found in model",
    ),
    _rule(
        "aborted",
        "The engine gave up: {found}",
        _OTHER_FLAGS,
        r"(GGML_ASSERT.*)",
        r"(CUDA error: .*)",
        r"(terminate called after .*)",
        r"^/\S+\.(?:c|cpp|cu|h|m):\d+: (.+)",
    ),
)


def diagnose(exit_code: int | None, lines: Sequence[str]) -> Diagnosis:
    """The likeliest reason. `exit_code` as in `subprocess`, None if unknown; `lines` oldest first.

    A long tail of lines is wanted: the telling one may be a hundred lines before the end.
    """
    messages = [message_of(line) for line in _complaints(lines)]
    for rule in _RULES:
        for message in messages:
            match = rule.pattern.search(message)
            if match:
                found = match[match.lastindex or 0].rstrip(" .")
                sentence = rule.sentence.format(message=_ORIGIN.sub("", message), found=found)
                return Diagnosis(rule.reason, _ended_as_sentence(sentence), rule.hint)
    return _by_exit_code(exit_code)


def _complaints(lines: Iterable[str]) -> Iterable[str]:
    """Errors and lines without llama.cpp's prefix: what warns or informs is not why it ended."""
    return (line for line in lines if level_of(line) == "error" or message_of(line) == line)


def _ended_as_sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _by_exit_code(exit_code: int | None) -> Diagnosis:
    if exit_code is None:
        return Diagnosis(
            "unknown",
            "The engine ended while another runner watched it; how is not known.",
            "See the engine's last lines.",
        )
    # A shell that runs the engine reports its signal as 128 + N.
    number = -exit_code if exit_code < 0 else exit_code - 128
    if number == signal.SIGKILL:
        return Diagnosis(
            "killed",
            "The engine was killed (SIGKILL).",
            "The kernel does this when memory runs out: see `journalctl -k`. " + _LESS_MEMORY,
        )
    name = next((known.name for known in signal.Signals if known == number), f"signal {number}")
    if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return Diagnosis("killed", f"Somebody ended the engine ({name}).", "Load the model again.")
    if number == signal.SIGILL:
        return Diagnosis(
            "aborted",
            "The engine used an instruction that this CPU does not have (SIGILL).",
            "Use a llama-server that was built for this CPU.",
        )
    if number == signal.SIGBUS:
        return Diagnosis(
            "aborted",
            "The engine could not read its mapped file any more (SIGBUS).",
            "The file became shorter or its disk fails. " + _NEW_DOWNLOAD,
        )
    if 0 < number < signal.NSIG:
        return Diagnosis(
            "aborted",
            f"The engine crashed ({name}).",
            _OTHER_FLAGS,
        )
    if exit_code in (126, 127):
        return Diagnosis(
            "engine_missing",
            f"The engine's program could not be run (exit code {exit_code}).",
            "Check that llama.serverPath names a program for this machine.",
        )
    return Diagnosis(
        "unknown",
        f"The engine ended with exit code {exit_code}.",
        "See the engine's last lines.",
    )
