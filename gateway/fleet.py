"""This process's copy of the fleet: models, processes, and how a load or unload came out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from common.api import models, system
from common.api.bus import Beat
from common.api.models import Accepted, BeginLoad, Model, UnloadModel
from common.bus.bus import Bus
from common.bus.liveness import lives
from common.errors import (
    DeadlineExceeded,
    ModelLoadFailed,
    ModelNotFound,
    ModelUnloadFailed,
    ProxyError,
    Unavailable,
)
from common.live_settings import LiveSettings
from common.settings import ModelSettings, Settings

CONTROLLER = "controller"
ProcessState = Literal["running", "hung", "gone"]

LEARN_S = 5.0
LEARN_CHECK_S = 0.02
WAIT_MARGIN_S = 30.0  # the controller's own limits end a move first, and say why

ModelListener = Callable[[Model | None, Model | None], None]
"""(before, after) of a model's record; null where there was or is none."""


@dataclass
class _Waiter:
    accepted: Accepted
    settled: asyncio.Future[Model | None]


class Fleet:
    """Answers from its copy without asking anybody; asks the controller to load and unload."""

    def __init__(self, bus: Bus, live: LiveSettings) -> None:
        self._bus = bus
        self.live = live
        self._ids_by_alias = ids_by_alias(live.current.models)
        live.on_change(self._settings_changed)
        self._models = bus.mirror(models.MODEL)
        self._models.on_change(self._model_changed)
        self._listeners: list[ModelListener] = []
        self._waiters: list[_Waiter] = []
        self._silent = bus.mirror(system.SILENT, forget_with_owner=True)
        self._seen: dict[str, Beat] = {}
        bus.on_presence(self._presence_changed)

    @property
    def _load_limit_s(self) -> float:
        llama = self.live.current.llama
        return (
            llama.queue_timeout
            + llama.drain_timeout_seconds
            + llama.load_timeout_seconds
            + WAIT_MARGIN_S
        )

    @property
    def _unload_limit_s(self) -> float:
        settings = self.live.current
        drain_s, grace_s = settings.llama.drain_timeout_seconds, settings.runner.stop_grace_seconds
        return drain_s + grace_s + WAIT_MARGIN_S

    def on_model(self, listener: ModelListener) -> None:
        """Call `listener` for each change of a model's record."""
        self._listeners.append(listener)

    def models(self) -> list[Model]:
        """All models, by id."""
        return sorted((row for _, _, row in self._models.items()), key=lambda row: row.id)

    async def learn(self, stopping: asyncio.Event) -> None:
        """Hear which models there are, before anybody is answered; not for ever, and not once
        `stopping` is set. Requests wait in the listening socket's queue meanwhile.

        Else the first after a start would not find their models.
        """
        for _ in range(round(LEARN_S / LEARN_CHECK_S)):
            if self.knows_models() or stopping.is_set():
                return
            await asyncio.sleep(LEARN_CHECK_S)

    def knows_models(self) -> bool:
        """Whether a controller has told its models to this process, be they none."""
        return self._models.knows(CONTROLLER)

    def find(self, name: str) -> Model | None:
        """The model of this id, else of this alias; null where there is none."""
        found = self._models.find(name)
        if found is None and (model_id := self._ids_by_alias.get(name)) is not None:
            return self._models.find(model_id)
        return found

    def model(self, name: str) -> Model:
        """One model, by its id or an alias. Raises `ModelNotFound`, `Unavailable` where nothing was
        told yet.
        """
        found = self.find(name)
        if found is None:
            if not self.knows_models():
                raise Unavailable("no controller has told yet which models there are; try again")
            raise ModelNotFound(
                f"there is no model '{name[:200]}'; models:list gives all ids",
                {"id": name[:200]},
            )
        return found

    def processes(self) -> list[tuple[Beat, ProcessState]]:
        """The last beat of each process that was ever seen, and how it is now."""
        self._presence_changed()
        return [(self._seen[name], self._state(self._seen[name])) for name in sorted(self._seen)]

    def _state(self, beat: Beat) -> ProcessState:
        if any(member.name == beat.name for member in self._bus.members):
            return "running"
        told = self._silent.find(beat.name)
        if beat.host == self._bus.identity.host:
            # Our own host we see ourselves, also when it is its metrics process that is silent.
            return "hung" if lives(beat) else "gone"
        return "hung" if told is not None and told.epoch == beat.epoch else "gone"

    async def load(
        self,
        model_id: str,
        *,
        on_demand: bool = False,
        ttl_seconds: float | None = None,
        preset: str | None = None,
        runner: str | None = None,
    ) -> Model:
        """Have a model loaded (`models:load`); returns when it answers requests.

        On demand, one that was loaded already may have moved on when its acceptance is heard: its
        record says so, and nobody has called this load off.

        Raises `ModelLoadFailed`, `PresetNotFound`, `InvalidRequest` for a runner that is not there.
        """
        accepted = await self.begin_load(
            model_id, on_demand=on_demand, ttl_seconds=ttl_seconds, preset=preset, runner=runner
        )
        try:
            model = await self._settled(accepted, self._load_limit_s)
        except DeadlineExceeded as error:
            raise ModelLoadFailed(error.message, {"reason": "timeout"}) from None
        if model is not None and (model.status == "loaded" or (on_demand and accepted.loaded)):
            return model
        if model is not None and model.failure is not None:
            raise failed_load(model)
        raise ModelLoadFailed(
            f"loading {model_id} was cancelled by an unload", {"reason": "cancelled"}
        )

    async def begin_load(
        self,
        model_id: str,
        *,
        on_demand: bool = False,
        ttl_seconds: float | None = None,
        preset: str | None = None,
        runner: str | None = None,
    ) -> Accepted:
        """Have a model loaded; returns when that is accepted."""
        request = BeginLoad(
            id=model_id, on_demand=on_demand, ttl_seconds=ttl_seconds, preset=preset, runner=runner
        )
        return await self._bus.call(CONTROLLER, models.BEGIN_LOAD, request)

    async def begin_unload(self, model_id: str) -> Accepted:
        """Have a model unloaded; returns when that is accepted."""
        return await self._bus.call(CONTROLLER, models.BEGIN_UNLOAD, UnloadModel(id=model_id))

    async def unload(self, request: UnloadModel) -> Model:
        """Have a model unloaded; returns when its engine ended. Raises `ModelUnloadFailed`."""
        before = self.model(request.id)
        accepted = await self.begin_unload(request.id)
        try:
            model = await self._settled(accepted, self._unload_limit_s)
        except DeadlineExceeded as error:
            raise ModelUnloadFailed(error.message, {"reason": "timeout"}) from None
        failure = model.failure if model is not None else None
        if failure is not None and failure.code == ModelUnloadFailed.code:
            raise ModelUnloadFailed(failure.message, {"reason": failure.reason})
        return model or before

    async def _settled(self, accepted: Accepted, limit_s: float) -> Model | None:
        """The record once the accepted move, or a later one, has come out; null: it is gone."""
        waiter = _Waiter(accepted, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            current = self._models.find(accepted.id)
            if current is None or _has_settled(current, accepted):
                return current
            async with asyncio.timeout(limit_s):
                return await waiter.settled
        except TimeoutError:
            raise DeadlineExceeded(
                f"nothing was heard of {accepted.id} for {limit_s:g} s"
            ) from None
        finally:
            self._waiters.remove(waiter)

    def _model_changed(
        self, _owner: str, key: str, before: Model | None, after: Model | None
    ) -> None:
        for waiter in self._waiters:
            if (
                waiter.accepted.id == key
                and not waiter.settled.done()
                and (after is None or _has_settled(after, waiter.accepted))
            ):
                waiter.settled.set_result(after)
        for listener in self._listeners:
            listener(before, after)

    def _settings_changed(self, _before: Settings, after: Settings) -> None:
        self._ids_by_alias = ids_by_alias(after.models)

    def _presence_changed(self) -> None:
        self._seen |= {beat.name: beat for beat in self._bus.members}


def ids_by_alias(settings: Mapping[str, ModelSettings]) -> dict[str, str]:
    """What each alias stands for. A model that has such an id itself comes before it."""
    return {alias: model_id for model_id, model in settings.items() for alias in model.aliases}


def _has_settled(model: Model, accepted: Accepted) -> bool:
    if model.generation != accepted.generation:
        return model.generation > accepted.generation
    return model.status in ("loaded", "unloaded", "error")


def failed_load(model: Model) -> ProxyError:
    """The error that says why a model did not load, with the engine's last lines."""
    failure = model.failure
    if failure is None:
        return ModelLoadFailed(model.reason or f"{model.id} did not load")
    parts = [failure.message]
    if failure.hint:
        parts.append(failure.hint)
    if failure.excerpt:
        parts.append("The engine's last lines:\n" + "\n".join(failure.excerpt))
    details = {"reason": failure.reason, "hint": failure.hint, "excerpt": list(failure.excerpt)}
    return ModelLoadFailed("\n".join(parts), details)
