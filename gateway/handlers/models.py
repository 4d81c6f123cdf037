"""models:list, models:info, models:details, models:load, models:unload."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from common import timestamps
from common.api import inventory
from common.api.inventory import DescribeFile
from common.api.models import (
    DescribeModels,
    ListModels,
    LoadedModel,
    LoadModel,
    Model,
    ModelDetails,
    ModelDetailsList,
    ModelInfo,
    ModelInfoRequest,
    ModelList,
    ModelRow,
    UnloadedModel,
    UnloadModel,
)
from common.bus.bus import Bus
from common.errors import ProxyError
from gateway.fleet import Fleet

Parameters = dict[str, dict[str, Any]]


def row(model: Model) -> ModelRow:
    """A model as lists show it."""
    return ModelRow(
        id=model.id,
        name=model.name,
        path=model.path,
        size=model.size,
        status=model.status,
        reason=shown_reason(model),
    )


def details(model: Model) -> ModelDetails:
    """What its row does not tell."""
    facts = model.facts
    return ModelDetails(
        architecture=facts.architecture,
        quantization=facts.quantization,
        parameter_count=facts.parameter_count,
        context_length=facts.context_length,
        id=model.id,
        runner=model.runner,
        preset=model.preset,
        memory_usage=model.memory_usage,
        loaded_at=model.loaded_at,
        expires_at=model.expires_at,
    )


def shown_reason(model: Model) -> str | UnsetType:
    """Why a model is in `error`; nothing otherwise."""
    return model.reason if model.status == "error" and model.reason else UNSET


class ModelHandlers:
    """Answers from the fleet's copy; headers are fetched once per version of a file."""

    def __init__(self, fleet: Fleet, bus: Bus) -> None:
        self._fleet = fleet
        self._bus = bus
        self._headers: dict[str, tuple[int, Parameters]] = {}
        fleet.on_model(self._forget_header)

    async def list(self, _request: ListModels) -> ModelList:
        """Every model of every host."""
        rows = tuple(row(model) for model in self._fleet.models())
        return ModelList(models=rows, total=len(rows))

    async def info(self, request: ModelInfoRequest) -> ModelInfo:
        """One model with the readable part of its file's header."""
        model = self._fleet.model(request.id)
        return ModelInfo(
            id=model.id,
            name=model.name,
            path=model.path,
            size=model.size,
            status=model.status,
            parameters=await self._parameters(model),
            memory_usage=model.memory_usage,
            loaded_at=model.loaded_at,
            reason=shown_reason(model),
            preset=model.preset or UNSET,
            expires_at=model.expires_at or UNSET,
        )

    async def details(self, request: DescribeModels) -> ModelDetailsList:
        """Those that are asked for, or all."""
        wanted = None if request.ids is None else set(request.ids)
        return ModelDetailsList(
            models=tuple(
                details(model)
                for model in self._fleet.models()
                if wanted is None or model.id in wanted
            )
        )

    async def load(self, request: LoadModel) -> LoadedModel:
        """Load, and answer when the model answers requests."""
        model = await self._fleet.load(
            self._fleet.model(request.id).id,
            ttl_seconds=request.ttl_seconds,
            preset=request.preset,
            runner=request.runner,
        )
        return LoadedModel(
            id=model.id,
            status=model.status,
            memory_usage=model.memory_usage or 0,
            loaded_at=model.loaded_at or timestamps.now(),
        )

    async def unload(self, request: UnloadModel) -> UnloadedModel:
        """Unload, and answer when the engine has ended."""
        wanted = UnloadModel(id=self._fleet.model(request.id).id)
        model = await self._fleet.unload(wanted)
        return UnloadedModel(
            id=model.id,
            status="unloaded",
            unloaded_at=model.unloaded_at or timestamps.now(),
        )

    async def _parameters(self, model: Model) -> Parameters | None:
        known = self._headers.get(model.id)
        if known is not None and known[0] == model.mtime_ns:
            return known[1]
        try:
            description = await self._bus.call(
                model.scanner, inventory.DESCRIBE, DescribeFile(id=model.id)
            )
        except ProxyError:
            return None  # an unreadable header, or its runner is away; `reason` says so
        self._headers[model.id] = (model.mtime_ns, description.parameters)
        return description.parameters

    def _forget_header(self, before: Model | None, after: Model | None) -> None:
        if before is not None and (after is None or after.mtime_ns != before.mtime_ns):
            self._headers.pop(before.id, None)
