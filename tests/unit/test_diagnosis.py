"""The lines are what real engines printed, shortened only in number."""

from __future__ import annotations

import pytest

from workers.runner.diagnosis import diagnose

START = [
    "0.00.000.354 I srv          init: initializing ...",
    "0.00.004.026 W srv          init: security: no API key is set and CORS allows all origins",
    "0.00.005.566 I srv    load_model: loading model '/models/a.gguf'",
]
END = [
    "0.00.004.245 E cmn  common_init_: failed to load model '/models/a.gguf'",
    "0.00.004.248 E srv    load_model: failed to load model, '/models/a.gguf'",
    "0.00.004.250 I srv    operator(): operator(): cleaning up before exit...",
    "0.00.004.518 E srv          init: exiting due to model loading error",
    "error: Failed to init server, please check the input params.",
]
ERROR = "0.00.004.021 E "
LOADER = "llama_model_load: error loading model: "


@pytest.mark.parametrize(
    ("reason", "said", "line"),
    [
        (
            "corrupt_file",
            "incomplete: tensor 'output.weight' data is not within the file bounds, model is",
            f"{LOADER}tensor 'output.weight' data is not within the file bounds, model is corrupt",
        ),
        (
            "corrupt_file",
            "failed to read key-value pairs",
            "gguf_init_from_reader: failed to read key-value pairs",
        ),
        (
            "corrupt_file",
            "string length 200973133371408384 exceeds maximum",
            "read: string length 200973133371408384 exceeds maximum 1073741824",
        ),
        (
            "corrupt_file",
            "'blk.0.attn_q.weight' not found",
            f"{LOADER}check_tensor_dims: tensor 'blk.0.attn_q.weight' not found",
        ),
        (
            "corrupt_file",
            "key not found in model: llama.context_length",
            f"{LOADER}key not found in model: llama.context_length",
        ),
        (
            "not_a_model",
            "invalid magic characters: 'hell', expected 'GGUF'.",
            "gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'",
        ),
        (
            "not_a_model",
            "failed to read magic",
            "gguf_init_from_reader: failed to read magic",
        ),
        (
            "not_a_model",
            "projector",
            f"{LOADER}CLIP cannot be used as main model, use it with --mmproj instead",
        ),
        (
            "unsupported_model",
            "'nosucharch'.",
            f"{LOADER}unknown model architecture: 'nosucharch'",
        ),
        (
            "unreadable_file",
            "'a-2.gguf' (No such file or directory).",
            "gguf_init_from_file: failed to open GGUF file 'a-2.gguf' (No such file or directory)",
        ),
        (
            "unreadable_file",
            "'/m/a.gguf' (Permission denied).",
            "gguf_init_from_file: failed to open GGUF file '/m/a.gguf' (Permission denied)",
        ),
        (
            "unreadable_file",
            "'l.gguf': No such file",
            "llama_adapter_lora_init: failed to open 'l.gguf': No such file or directory",
        ),
        (
            "port_taken",
            "listen on 127.0.0.1, port: 18115.",
            "srv  start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18115",
        ),
        (
            "out_of_memory",
            "std::bad_alloc",
            "llama_init_from_model: failed to initialize the context: std::bad_alloc",
        ),
        (
            "out_of_memory",
            "allocating 8192.00 MiB on device 0",
            "alloc_buffer: allocating 8192.00 MiB on device 0: cudaMalloc failed: out of memory",
        ),
        (
            "out_of_memory",
            "unable to allocate CUDA0 buffer",
            f"{LOADER}unable to allocate CUDA0 buffer",
        ),
        (
            "bad_argument",
            "Expected }}",
            "common_chat_templates_init: error: parser: Parser Error: Expected }} (Got )",
        ),
    ],
)
def test_errors_in_the_log(reason: str, said: str, line: str) -> None:
    diagnosis = diagnose(1, [*START, ERROR + line, *END])
    assert diagnosis.reason == reason
    assert said in diagnosis.sentence
    assert diagnosis.sentence.endswith(".")
    assert diagnosis.hint


def test_an_older_version_of_the_format_comes_before_its_consequence() -> None:
    lines = [
        f"{ERROR}g: this GGUF file is version 99 but this software only supports up to version 3",
        f"{ERROR}gguf_init_from_reader: failed to read header",
    ]
    assert diagnose(1, [*START, *lines, *END]).reason == "unsupported_model"


@pytest.mark.parametrize(
    ("exit_code", "reason", "said", "lines"),
    [
        (1, "bad_argument", "know the flag --no-mmap.", ["error: invalid argument: --no-mmap"]),
        (
            1,
            "bad_argument",
            """flag's value: "--pooling": invalid value.""",
            [
                """error while handling argument "--pooling": invalid value""",
                "",
                "usage:",
                "--pooling {none,mean,cls,last,rank}     pooling type for embeddings",
            ],
        ),
        (
            127,
            "missing_library",
            "libgomp.so.1 is missing",
            ["/x: error while loading shared libraries: libgomp.so.1: cannot open shared object"],
        ),
        (
            -6,
            "aborted",
            "gave up: get_sub_batch: failed to add token 2",
            [
                "/ll/common/common.cpp:2245: get_sub_batch: failed to add token 2 at index 1",
                "",
                "[New LWP 7409]",
            ],
        ),
        (
            134,
            "aborted",
            "gave up: GGML_ASSERT(n_outputs_max",
            ["/llama.cpp/src/llama-context.cpp:2289: GGML_ASSERT(n_outputs_max <= 4) failed"],
        ),
    ],
)
def test_errors_without_a_log(exit_code: int, reason: str, said: str, lines: list[str]) -> None:
    diagnosis = diagnose(exit_code, lines)
    assert diagnosis.reason == reason
    assert said in diagnosis.sentence


@pytest.mark.parametrize(
    ("exit_code", "reason", "said"),
    [
        (-9, "killed", "SIGKILL"),
        (137, "killed", "SIGKILL"),
        (-15, "killed", "SIGTERM"),
        (-11, "aborted", "SIGSEGV"),
        (-6, "aborted", "SIGABRT"),
        (-4, "aborted", "CPU"),
        (-7, "aborted", "SIGBUS"),
        (-50, "aborted", "signal 50"),
        (127, "engine_missing", "127"),
        (0, "unknown", "exit code 0"),
        (3, "unknown", "exit code 3"),
        (255, "unknown", "exit code 255"),
        (None, "unknown", "not known"),
    ],
)
def test_silent_ends(exit_code: int | None, reason: str, said: str) -> None:
    for lines in ([], START):
        diagnosis = diagnose(exit_code, lines)
        assert diagnosis.reason == reason
        assert said in diagnosis.sentence


def test_warnings_are_not_causes() -> None:
    warning = "0.00.010.000 W ggml: failed to allocate 64.00 MiB of memory: out of memory"
    assert diagnose(-9, [*START, warning]).reason == "killed"
