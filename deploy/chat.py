"""`llama-proxy chat`: talk to a model through the OpenAI-compatible proxy, as any program would."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Generator
from typing import Any, NamedTuple

import requests

from common import environment
from common.settings import Settings
from deploy.addresses import proxy_url
from deploy.failure import CommandFailed, ExitCode
from deploy.sse import StreamCut, chunks

_CONNECT_S = 5.0
# Silence that is borne on top of what a load on demand may take.
_SILENCE_S = 120.0

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class Piece(NamedTuple):
    """A part of an answer; a thought is what a reasoning model says to itself before."""

    text: str
    is_thought: bool


def chat(
    settings: Settings,
    model_id: str,
    prompt: str | None,
    max_tokens: int | None,
    token: str | None,
) -> None:
    """Answer `prompt`, or what is piped in; where there is neither, hold a conversation.

    Where the stack has access tokens, one is needed: `token`, else what the environment gives.
    """
    conversation = Conversation(
        settings, model_id, max_tokens, token or os.environ.get(environment.BEARER)
    )
    if prompt is None and sys.stdin.isatty():
        _converse(conversation)
        return
    text = sys.stdin.read() if prompt is None else prompt
    if not text.strip():
        raise CommandFailed("there is no prompt: it is empty", ExitCode.USAGE)
    _print(conversation.answer(text))


class Conversation:
    """The messages so far, and where they are sent."""

    def __init__(
        self, settings: Settings, model_id: str, max_tokens: int | None, token: str | None = None
    ) -> None:
        llama = settings.llama
        self._url = f"{proxy_url(settings)}/v1/chat/completions"
        self._answer_s = llama.queue_timeout + llama.load_timeout_seconds + _SILENCE_S
        self._options: dict[str, Any] = {"model": model_id, "stream": True}
        if max_tokens is not None:
            self._options["max_tokens"] = max_tokens
        self._messages: list[dict[str, str]] = []
        self._http = requests.Session()
        # The proxy is on this machine; a company's HTTP proxy is not to be asked for it.
        self._http.trust_env = False
        if token:
            self._http.headers["Authorization"] = f"Bearer {token}"

    def answer(self, prompt: str) -> Generator[Piece, None, None]:
        """Stream the answer to a prompt. Raises CommandFailed.

        The prompt and as much of the answer as was read are remembered for the next one.
        """
        question = {"role": "user", "content": prompt}
        said = ""
        with self._ask([*self._messages, question]) as response:
            try:
                # As it arrives: with a fixed size a short answer would be held back.
                for chunk in chunks(response.iter_lines(chunk_size=None)):
                    piece = _piece(chunk)
                    said += "" if piece.is_thought else piece.text
                    yield piece
            except (requests.RequestException, StreamCut, ValueError) as error:
                raise CommandFailed(f"the answer broke off: {error}") from error
            finally:
                if said:
                    self._messages += [question, {"role": "assistant", "content": said}]

    def _ask(self, messages: list[dict[str, str]]) -> requests.Response:
        try:
            response = self._http.post(
                self._url,
                json={**self._options, "messages": messages},
                stream=True,
                timeout=(_CONNECT_S, self._answer_s),
            )
        except requests.ConnectionError as error:
            raise CommandFailed(
                f"no proxy answers at {self._url}; start one with `llama-proxy up`",
                ExitCode.NOT_RUNNING,
            ) from error
        except requests.RequestException as error:
            raise CommandFailed(f"no answer from {self._url}: {error}") from error
        if response.status_code != requests.codes.ok:
            with response:
                raise CommandFailed(_refusal(response))
        return response


def _converse(conversation: Conversation) -> None:
    """Prompt by prompt until end of input; Ctrl-C ends an answer or, at the prompt, all of it."""
    with contextlib.suppress(ImportError):
        # Gives input() line editing and history, where Python was built with it.
        importlib.import_module("readline")
    sys.stderr.write("Ctrl-D leaves, Ctrl-C ends an answer.\n")
    while True:
        try:
            prompt = input("> ")
        except (EOFError, KeyboardInterrupt):
            sys.stdout.write("\n")
            return
        if not prompt.strip():
            continue
        try:
            _print(conversation.answer(prompt))
        except KeyboardInterrupt:
            sys.stdout.write("\n")
        except CommandFailed as failure:
            sys.stderr.write(f"{failure}\n")


def _print(pieces: Generator[Piece, None, None]) -> None:
    """Show an answer as it comes; thoughts are dim, and left out where nobody is watching."""
    watched = sys.stdout.isatty()
    thinking = False
    with contextlib.closing(pieces):
        for piece in pieces:
            if piece.is_thought and not watched:
                continue
            if piece.is_thought != thinking:
                sys.stdout.write(_DIM if piece.is_thought else f"{_PLAIN}\n")
                thinking = piece.is_thought
            sys.stdout.write(piece.text)
            sys.stdout.flush()
    sys.stdout.write(f"{_PLAIN}\n" if thinking else "\n")


def _piece(chunk: dict[str, Any]) -> Piece:
    """What one chunk of a stream says; an error that ends it is raised."""
    if "error" in chunk:
        raise CommandFailed(f"the answer broke off: {_message(chunk)}")
    choices = chunk.get("choices") or [{}]
    delta = choices[0].get("delta") or {}
    if thought := delta.get("reasoning_content"):
        return Piece(thought, is_thought=True)
    return Piece(delta.get("content") or "", is_thought=False)


def _refusal(response: requests.Response) -> str:
    try:
        return _message(response.json())
    except ValueError:
        return f"the proxy answers {response.status_code}: {response.text[:200]}"


def _message(body: Any) -> str:
    """The message of an OpenAI-style error, `{"error": {"message": …}}`."""
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or body)
