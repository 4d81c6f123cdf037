"""Who a client is: from the token that it shows to a `Caller`.

Gateways and proxies hold a copy of the controller's table of tokens. Before it has come, nobody is
let in: an empty copy would look like "there are no tokens". Once it has come it stays, whatever
becomes of the controller.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import sys
import time
from collections.abc import Callable, Iterable

from common.api.tokens import Token
from common.bus.tables import Mirror
from common.caller import EVERYBODY, LOCAL, Caller
from common.errors import ConfigInvalid, Unauthenticated, Unavailable
from common.exposure import Entrance, check_guarded
from common.service import Process
from common.token_store import digest
from gateway.fleet import CONTROLLER

LEARN_CHECK_S = 0.02
MAX_TOKEN_CHARACTERS = 512

_SCHEME = "bearer "

ChangeListener = Callable[[], None]


class Access:
    """Judges tokens. `public`: other machines reach this entrance, so it never does without."""

    def __init__(self, mirror: Mirror[Token], *, public: bool) -> None:
        self._mirror = mirror
        self._public = public
        self._by_hash: dict[str, Token] = {}
        self._ids: set[str] = set()
        self._listeners: list[ChangeListener] = []
        self.epoch = 0
        """Grows with each change: what was found of a token holds while it stays."""
        mirror.on_change(self._token_changed)

    def on_change(self, listener: ChangeListener) -> None:
        """Call `listener` when a token was made or revoked: somebody may have lost their access."""
        self._listeners.append(listener)

    def known(self) -> bool:
        """Whether the tokens are known, be they none."""
        return self._mirror.knows(CONTROLLER)

    async def learn(self, stopping: asyncio.Event, patience_s: float = math.inf) -> None:
        """Return once the tokens are known, patience has ended or `stopping` is set.

        To be awaited before the first connection is taken: clients then wait in the listening
        socket's queue, and those that give up try again by themselves.
        """
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if self.known() or stopping.is_set():
                return
            await asyncio.sleep(LEARN_CHECK_S)

    def identify(self, secret: str | None) -> Caller:
        """Whose token this is; null where none was shown.

        Raises `Unauthenticated`, and `Unavailable` while the tokens are not known.
        """
        self._require_known()
        if not self._by_hash and not self._public:
            return EVERYBODY
        if secret is None or not self._by_hash:
            raise Unauthenticated(self._how_to_get_in())
        token = self._find(secret)
        if token is None:
            raise Unauthenticated("this access token is not valid; it may have been revoked")
        return Caller(token.name, token.role, token.id)

    def still(self, caller: Caller) -> bool:
        """Whether somebody who was let in as `caller` would be let in as that now."""
        if caller == LOCAL:
            return True
        if caller == EVERYBODY:
            return not self._by_hash and not self._public
        return caller.token_id in self._ids

    def require(self, caller: Caller) -> None:
        """Raise `Unauthenticated` where somebody who was let in would not be let in now."""
        if not self.still(caller):
            raise Unauthenticated(
                "the access token of this connection is not valid any more, or it has none and by"
                " now one is needed; connect again with one"
            )

    def tokens(self) -> list[Token]:
        """All tokens, oldest first. Raises `Unavailable` while they are not known."""
        self._require_known()
        return sorted(self._by_hash.values(), key=lambda token: (token.created_at, token.id))

    def _require_known(self) -> None:
        if not self.known():
            raise Unavailable(
                "the controller has not told yet which access tokens there are; try again soon",
                {"process": CONTROLLER},
            )

    def _find(self, secret: str) -> Token | None:
        """Looked up by its hash, which tells an attacker nothing of the secret by its timing."""
        if len(secret) > MAX_TOKEN_CHARACTERS:
            return None
        shown = digest(secret)
        token = self._by_hash.get(shown)
        return token if token is not None and hmac.compare_digest(token.hash, shown) else None

    def _how_to_get_in(self) -> str:
        if self._by_hash:
            return (
                "an access token is needed; `llama-proxy token create` on the server's machine"
                " makes one"
            )
        return (
            "other machines can reach this address, so access tokens are needed and there are none;"
            " make one with `llama-proxy token create` on the server's machine"
        )

    def _token_changed(
        self, owner: str, _key: str, before: Token | None, after: Token | None
    ) -> None:
        if owner != CONTROLLER:
            return  # whoever else says so cannot let anybody in
        self.epoch += 1
        if before is not None:
            self._by_hash.pop(before.hash, None)
            self._ids.discard(before.id)
        if after is not None:
            self._by_hash[after.hash] = after
            self._ids.add(after.id)
        for listener in self._listeners:
            listener()


async def refuse_unguarded(process: Process, entrance: Entrance) -> None:
    """End this process with a line on stderr where its port would stand open to everybody."""
    try:
        await asyncio.to_thread(check_guarded, process.settings, process.home, entrance)
    except ConfigInvalid as error:
        sys.exit(error.message)


def token_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of `Authorization: Bearer` or `X-Api-Key`; null where there is neither.

    Anything else under `Authorization` counts as a wrong token, not as none.
    """
    shown = None
    for name, value in headers:
        if name == b"authorization":
            text = value.decode("latin-1")
            is_bearer = text[: len(_SCHEME)].lower() == _SCHEME
            return text[len(_SCHEME) :].strip() if is_bearer else text
        if name == b"x-api-key":
            shown = value.decode("latin-1").strip()
    return shown


def token_of_auth(auth: object) -> str | None:
    """The token of Socket.IO's `auth: {token}`; null where there is none."""
    token = auth.get("token") if isinstance(auth, dict) else None
    return token if isinstance(token, str) and token else None
