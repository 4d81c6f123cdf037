"""What the HTTP side of the proxy needs to know about models and where they run."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from gateway.proxy.body_filters import BodyFilter
from gateway.proxy.in_flight import Lease

_COMPARED_CHARACTERS = 100


class ModelEntry(NamedTuple):
    """A model that may be asked for: a row of `/v1/models`.

    `created_s` is Unix time (the file's modification); `status` is the fleet's word for it
    (`unloaded`, `loading`, `loaded`, `unloading`, `error`), `progress` 0 to 1 while it loads.
    """

    id: str
    created_s: int
    status: str
    path: str = ""
    progress: float | None = None
    aliases: tuple[str, ...] = ()


ModelListener = Callable[[ModelEntry | None, ModelEntry | None], None]


class Outlook(NamedTuple):
    """What a waiting request may expect.

    `position` counts from 1 among the requests that wait for the same model here. `status` is the
    fleet's word for the model, `progress` how far it is loaded, 0 to 1, where that is known.
    """

    position: int
    status: str
    progress: float | None


class Place(Protocol):
    """One request's place in the queue for a model."""

    async def lease(self) -> Lease:
        """An instance of the model for this request; loads the model where none is loaded.

        May take minutes, and is cancelled when the client leaves. Raises `ModelNotFound`,
        `ModelLoadFailed`, `Busy`, `DeadlineExceeded`, `Unavailable`, and `QueueTimeout` after
        `llama.queueTimeout`.
        """

    def outlook(self) -> Outlook:
        """How things stand."""

    @property
    def loading_since_s(self) -> float | None:
        """When the model's load began, by `time.perf_counter`; None where none was seen."""


class Router(Protocol):
    """Chooses the instance for a request. Implemented over the backplane."""

    def models(self) -> Sequence[ModelEntry]:
        """All models of the fleet, in the order to be shown."""

    def knows(self, name: str) -> bool:
        """Whether there is a model of this id or alias."""

    def resolve(self, name: str) -> str:
        """The id of the model of this id or alias; where there is none, what was given."""

    def body_filter(self, model_id: str) -> BodyFilter:
        """What the settings have changed in the requests for a model."""

    def lease(self, model_id: str) -> Lease | None:
        """An instance of the model for one request, if one is ready.

        Raises `ModelNotFound`, and `TooManyRequests` where the model has as many as it may have.
        """

    def queue(self, model_id: str) -> AbstractContextManager[Place]:
        """A place in the queue for the model, for the body.

        Raises `QueueFull` at its beginning.
        """

    def suspect(self, instance_id: str) -> None:
        """An engine did not answer: give out no lease on it until something new is known of it."""

    async def begin_load(self, model_id: str) -> None:
        """Have a model loaded; returns when that is accepted. Raises `ModelNotFound`."""

    async def begin_unload(self, model_id: str) -> None:
        """Have a model unloaded; returns when that is accepted. Raises `ModelNotFound`."""

    def on_change(self, listener: ModelListener) -> None:
        """Call `listener` with a model before and after each change; None where there is none."""


def nearest_ids(wanted: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The ids that a caller who wrote `wanted` may have meant, best first; case does not matter.

    Ids that hold what was written (`qwen` in `qwen2.5-7b-instruct`) come before those that merely
    look like it.
    """
    needle = wanted[:_COMPARED_CHARACTERS].casefold()
    return _nearest(needle, tuple(known), limit) if needle else []


# Cached, since a program with a wrong name asks again and again, and with a thousand models the
# comparison takes some 40 ms.
@functools.lru_cache(maxsize=64)
def _nearest(needle: str, known: tuple[str, ...], limit: int) -> list[str]:
    by_folded = {model_id.casefold(): model_id for model_id in known}
    holding = sorted((folded for folded in by_folded if needle in folded), key=len)
    similar = difflib.get_close_matches(needle, by_folded, n=limit, cutoff=0.6)
    return [by_folded[folded] for folded in dict.fromkeys(holding + similar)][:limit]
