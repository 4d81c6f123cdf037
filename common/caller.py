"""Who asks, and what they may do.

An entrance (gateway, proxy) finds out who is there and works `acting` as that caller; what it calls
in turn reads `current()`. Role checks of whole commands are made in one place, `common.dispatch`;
a handler asks only where a part of its command needs more:

    caller.current().require(Role.ADMIN, "changing llama.serverPath")
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass

from common.api.base import Role
from common.errors import PermissionDenied

_RANKS = {role: rank for rank, role in enumerate(Role)}
"""From the least to the most, as `Role` lists them."""


@dataclass(frozen=True)
class Caller:
    """A client of ours. `name` is its token's name, `token_id` that token's id.

    `token_id` is empty for who needs none: everybody while there are no tokens.
    """

    name: str
    role: Role
    token_id: str = ""

    def may(self, role: Role) -> bool:
        """Whether this caller's role is `role` or includes it."""
        return _RANKS[self.role] >= _RANKS[role]

    def require(self, role: Role, what: str) -> None:
        """Raise `PermissionDenied` unless the caller may; `what` names the deed in the message."""
        if not self.may(role):
            raise PermissionDenied(
                f"{what} needs the role {role.value}; '{self.name}' has {self.role.value}",
                {"needed": role.value, "role": self.role.value},
            )


EVERYBODY = Caller("everybody", Role.ADMIN)
"""Anybody on this machine while no token exists."""

LOCAL = Caller("local", Role.ADMIN)
"""Who comes by a socket in home: whoever may open that directory owns the stack."""

PROCESS = Caller("process", Role.ADMIN)
"""Another process of the fleet, which has asked on the backplane."""

_current: ContextVar[Caller] = ContextVar("caller")


def current() -> Caller:
    """Who the work under way is for. Raises LookupError where nobody has said so."""
    return _current.get()


def become(caller: Caller) -> None:
    """Work for `caller` for the rest of this context: where a task serves one caller and ends."""
    _current.set(caller)


class acting:  # noqa: N801 - used as `contextlib.suppress` is, and cheaper than a generator
    """A context to work for `caller` in; tasks that are started in it keep it."""

    __slots__ = ("_before", "_caller")

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._before: Token[Caller] | None = None

    def __enter__(self) -> Caller:
        self._before = _current.set(self._caller)
        return self._caller

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            _current.reset(self._before)
