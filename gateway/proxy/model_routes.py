"""The proxy's own answers about models: OpenAI's list, and the routes of llama.cpp's router."""

from __future__ import annotations

from common import caller
from common.api.base import Role
from common.errors import ModelNotFound
from gateway.proxy import openai
from gateway.proxy.endpoints import MODELS_PATH
from gateway.proxy.model_events import ModelEvents
from gateway.proxy.responder import Responder
from gateway.proxy.routing import Router


class ModelRoutes:
    """Answers from the router's copy. What becomes of a load or an unload is told by events."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.events = ModelEvents()
        router.on_change(self.events.put)

    async def list(self, responder: Responder) -> None:
        """`GET /v1/models` and `GET /models`."""
        await responder.json(200, openai.model_list(self._router.models()))

    async def show(self, path: str, responder: Responder) -> None:
        """`GET /v1/models/<id>`."""
        wanted = self._router.resolve(path.removeprefix(MODELS_PATH + "/"))
        models = self._router.models()
        for model in models:
            if model.id == wanted:
                await responder.json(200, openai.model_row(model))
                return
        raise openai.unknown_model(wanted, models)

    async def load(self, model_id: str, responder: Responder) -> None:
        """`POST /models/load`: answers when the load is accepted, as llama.cpp's router does."""
        caller.current().require(Role.OPERATOR, "loading a model by name")
        try:
            await self._router.begin_load(model_id)
        except ModelNotFound as error:
            raise openai.unknown_model(model_id, self._router.models()) from error
        await responder.json(200, {"success": True})

    async def unload(self, model_id: str, responder: Responder) -> None:
        """`POST /models/unload`: answers when the unload is accepted."""
        caller.current().require(Role.OPERATOR, "unloading a model")
        try:
            await self._router.begin_unload(model_id)
        except ModelNotFound as error:
            raise openai.unknown_model(model_id, self._router.models()) from error
        await responder.json(200, {"success": True})
