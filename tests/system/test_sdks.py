"""The stock Python SDKs of OpenAI and Anthropic against the proxy and a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support.stack import Stack, running_stack
from tests.support.tiny_gguf import write_bert, write_llama

CHAT = "chatty"
EMBEDDER = "embedder"
PRESET = f"""\
[*]
threads = 1

[{EMBEDDER}]
embeddings = true
"""


@pytest.fixture(scope="module")
def sdk_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("sdks")
    models = directory / "home" / "models"
    presets = directory / "home" / "presets"
    models.mkdir(parents=True)
    presets.mkdir()
    write_llama(models / f"{CHAT}.gguf", ends=False)
    write_bert(models / f"{EMBEDDER}.gguf")
    (presets / "default.ini").write_text(PRESET)
    with running_stack(directory, {}) as stack:
        yield stack


@pytest.fixture
def to_openai(sdk_stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{sdk_stack.proxy_url}/v1", api_key="unused", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def to_anthropic(sdk_stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=sdk_stack.proxy_url, api_key="unused", max_retries=0
    ) as client:
        yield client


def test_models_are_listed(to_openai: openai.OpenAI) -> None:
    assert [model.id for model in to_openai.models.list()] == [CHAT, EMBEDDER]
    assert to_openai.models.retrieve(CHAT).owned_by == "llamacpp"


def test_a_chat_is_answered_and_counted(to_openai: openai.OpenAI) -> None:
    answer = to_openai.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": "Who are you?"}], max_tokens=8
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8


def test_a_chat_streams(to_openai: openai.OpenAI) -> None:
    stream = to_openai.chat.completions.create(
        model=CHAT,
        messages=[{"role": "user", "content": "Who are you?"}],
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert any(chunk.choices and chunk.choices[0].delta.content for chunk in chunks)
    counted = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert [usage.completion_tokens for usage in counted] == [8]


def test_completions_and_responses(to_openai: openai.OpenAI) -> None:
    text = to_openai.completions.create(model=CHAT, prompt="Once", max_tokens=4)
    assert text.usage is not None
    assert text.usage.completion_tokens == 4
    response = to_openai.responses.create(model=CHAT, input="Once", max_output_tokens=4)
    assert response.usage is not None
    assert response.usage.output_tokens == 4


def test_embeddings(to_openai: openai.OpenAI) -> None:
    answer = to_openai.embeddings.create(model=EMBEDDER, input=["a", "b"], encoding_format="float")
    assert [row.index for row in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) > 0


def test_an_upload_reaches_the_engine_which_takes_no_audio(to_openai: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as unsupported:
        to_openai.audio.transcriptions.create(model=CHAT, file=("a.wav", b"RIFF"))
    assert unsupported.value.status_code == 501


def test_openais_errors_are_its_own_exceptions(to_openai: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=CHAT) as unknown:
        to_openai.chat.completions.create(
            model="chatt", messages=[{"role": "user", "content": "?"}]
        )
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        to_openai.chat.completions.create(
            model=CHAT,
            messages=[{"role": "user", "content": "?"}],
            temperature="hot",  # type: ignore[call-overload]  # wrong on purpose
        )


def test_anthropic_answers_streams_and_counts(to_anthropic: anthropic.Anthropic) -> None:
    answer = to_anthropic.messages.create(
        model=CHAT, max_tokens=8, messages=[{"role": "user", "content": "Who are you?"}]
    )
    assert answer.usage.output_tokens == 8
    with to_anthropic.messages.stream(
        model=CHAT, max_tokens=8, messages=[{"role": "user", "content": "Who are you?"}]
    ) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "max_tokens"
    counted = to_anthropic.messages.count_tokens(
        model=CHAT, messages=[{"role": "user", "content": "Who are you?"}]
    )
    assert counted.input_tokens > 0


def test_anthropics_errors_are_its_own_exceptions(to_anthropic: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match=CHAT):
        to_anthropic.messages.create(
            model="chatt", max_tokens=8, messages=[{"role": "user", "content": "?"}]
        )
