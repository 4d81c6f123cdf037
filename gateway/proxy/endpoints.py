"""Every path of the proxy: what may be done with it, by which methods, and in whose words it errs.

Paths of engines are those of llama-server's own HTTP server (tools/server/README.md), so whatever
worked with one engine works here with a model's name added.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from gateway.proxy.dialects import ANTHROPIC, OPENAI, RESPONSES, Dialect

UPSTREAM_PREFIX = "/upstream/"
"""`/upstream/<model id>/<path>` reaches everything that an engine serves."""

READ = ("GET", "HEAD", "OPTIONS")
POST = ("POST", "OPTIONS")
READ_OR_POST = ("GET", "HEAD", "POST", "OPTIONS")
ANY = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Action(Enum):
    """What the proxy does with a request."""

    HEALTH = auto()
    LIST_MODELS = auto()
    SHOW_MODEL = auto()
    LOAD_MODEL = auto()
    UNLOAD_MODEL = auto()
    FOLLOW_MODELS = auto()
    FORWARD = auto()
    """To an engine, which the body's `model` names, or the query's."""
    UPSTREAM = auto()
    """To an engine that the path names."""


class Endpoint(NamedTuple):
    """One path: its action, the methods that it takes, and the dialect of its errors.

    `takes_form`: its bodies are forms with files (`multipart/form-data`), not JSON.
    """

    action: Action
    methods: tuple[str, ...]
    dialect: Dialect = OPENAI
    takes_form: bool = False


_CHAT = Endpoint(Action.FORWARD, POST)
_RESPONSES = Endpoint(Action.FORWARD, POST, RESPONSES)
_MESSAGES = Endpoint(Action.FORWARD, POST, ANTHROPIC)
_UPLOAD = Endpoint(Action.FORWARD, POST, takes_form=True)
_ASK = Endpoint(Action.FORWARD, READ)
_ASK_OR_CHANGE = Endpoint(Action.FORWARD, READ_OR_POST)
_HEALTH = Endpoint(Action.HEALTH, READ)
_LIST = Endpoint(Action.LIST_MODELS, READ)
_SHOW = Endpoint(Action.SHOW_MODEL, READ)
_UPSTREAM = Endpoint(Action.UPSTREAM, ANY)

# llama-server's `/completions` is its own `/completion`, unlike OpenAI's `/v1/completions`.
_OPENAI_PATHS = (
    "/chat/completions",
    "/chat/completions/input_tokens",
    "/completions",
    "/embeddings",
    "/rerank",
    "/reranking",
)
_RESPONSES_PATHS = ("/responses", "/responses/input_tokens")
_LLAMA_PATHS = (
    "/completion",
    "/infill",
    "/tokenize",
    "/detokenize",
    "/apply-template",
    "/embedding",
)

_UPLOAD_PATHS = ("/audio/transcriptions", "/v1/audio/transcriptions")

MODELS_PATH = "/v1/models"

PATHS: Mapping[str, Endpoint] = {
    "/health": _HEALTH,
    "/healthz": _HEALTH,
    "/v1/health": _HEALTH,
    "/models": _LIST,
    MODELS_PATH: _LIST,
    "/models/load": Endpoint(Action.LOAD_MODEL, POST),
    "/models/unload": Endpoint(Action.UNLOAD_MODEL, POST),
    "/models/sse": Endpoint(Action.FOLLOW_MODELS, READ),
    **{prefix + path: _CHAT for prefix in ("", "/v1") for path in _OPENAI_PATHS},
    **{prefix + path: _RESPONSES for prefix in ("", "/v1") for path in _RESPONSES_PATHS},
    **dict.fromkeys(_LLAMA_PATHS, _CHAT),
    **dict.fromkeys(_UPLOAD_PATHS, _UPLOAD),
    "/v1/messages": _MESSAGES,
    "/v1/messages/count_tokens": _MESSAGES,
    "/slots": _ASK,
    "/props": _ASK,
    "/lora-adapters": _ASK_OR_CHANGE,
}
"""Every path that has a fixed name."""


def find(path: str) -> Endpoint | None:
    """What is at a path; None where there is nothing."""
    known = PATHS.get(path)
    if known is not None:
        return known
    if path.startswith(MODELS_PATH + "/"):
        return _SHOW
    if path.startswith(UPSTREAM_PREFIX):
        return _UPSTREAM
    return None


def changes_engine(method: str, path: str) -> bool:
    """Whether a request may change an engine for everybody, and not only ask it for an answer.

    `path` is the engine's. What is not known to be harmless is not.
    """
    if method in READ:
        return False
    known = PATHS.get(path)
    asks = known is not None and known.action is Action.FORWARD and method in known.methods
    return not asks or known is _ASK_OR_CHANGE


def dialect_of(path: str) -> Dialect:
    """In whose words to refuse a request for a path, whether or not there is anything at it."""
    known = PATHS.get(path)
    if known is not None:
        return known.dialect
    return ANTHROPIC if path.startswith("/v1/messages") else OPENAI
