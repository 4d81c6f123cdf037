"""From a command's name to its handler and back, for Socket.IO and for the backplane alike.

A handler is `async def load(request: LoadModel) -> LoadedModel`: it neither catches nor builds
envelopes. This is the one place where exceptions become codes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from common.api.base import Command, Struct
from common.bus.wire import WireError
from common.caller import Caller, acting
from common.errors import ProxyError, ServerError, UnknownCommand, from_code

logger = logging.getLogger(__name__)

MAX_SHOWN_CHARACTERS = 200
"""Of a name that somebody made up."""

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `.*`", re.DOTALL)
"""As msgspec says it of the request itself; of a part of it, the path follows."""

Req = TypeVar("Req", bound=Struct)
Rep = TypeVar("Rep", bound=Struct)
Handler = Callable[[Req], Awaitable[Rep]]


@dataclass(frozen=True)
class _Route:
    command: Command[Any, Any]
    handler: Handler[Any, Any]


class Dispatcher:
    """The commands that one entrance answers."""

    def __init__(self) -> None:
        self._routes: dict[str, _Route] = {}

    def register(self, command: Command[Req, Rep], handler: Handler[Req, Rep]) -> None:
        """Answer `command` with `handler`; a name is registered once."""
        if command.name in self._routes:
            raise ValueError(f"{command.name} is registered already")
        self._routes[command.name] = _Route(command, handler)

    @property
    def commands(self) -> list[Command[Any, Any]]:
        """What is registered, in order of registration."""
        return [route.command for route in self._routes.values()]

    async def answer(
        self, name: str, decode: Callable[[type[Struct]], Struct], caller: Caller
    ) -> Struct:
        """Run one command for `caller`. `decode` gives the request as the type it is asked for.

        Raises only `ProxyError`: what a handler did not expect is logged with its traceback and
        leaves as `ServerError`.
        """
        route = self._routes.get(name)
        if route is None:
            shown = name[:MAX_SHOWN_CHARACTERS]
            raise UnknownCommand(f"there is no command '{shown}'", {"command": shown})
        caller.require(route.command.role, name)
        try:
            request = decode(route.command.request)
        except (msgspec.ValidationError, WireError) as error:
            message = f"{name}: {_misfit(str(error), route.command.request)}"
            raise from_code(route.command.misfit, message, {"command": name}) from error
        try:
            with acting(caller):
                reply: Struct = await route.handler(request)
        except ProxyError:
            raise
        except Exception as error:
            logger.exception("command %s failed unexpectedly", name)
            raise ServerError(f"{name} failed; the server's log says why") from error
        return reply


def _misfit(problem: str, wanted: type[Struct]) -> str:
    """What is wrong with a request, in bounded length: it may quote what was sent."""
    if len(problem) > 2 * MAX_SHOWN_CHARACTERS:
        problem = f"{problem[:MAX_SHOWN_CHARACTERS]}…{problem[-MAX_SHOWN_CHARACTERS:]}"
    if _UNKNOWN_FIELD.fullmatch(problem) is None:
        return problem
    fields = ", ".join(field.encode_name for field in msgspec.structs.fields(wanted))
    return f"{problem} (known: {fields})" if fields else f"{problem} (there are none)"
