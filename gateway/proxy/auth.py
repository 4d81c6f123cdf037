"""Who asks the proxy: any valid token will do, since each role includes `inference`."""

from __future__ import annotations

from common.caller import Caller
from common.errors import Unauthenticated
from gateway.auth import Access, token_of
from gateway.proxy.errors import refusal
from gateway.proxy.headers import Header

# RFC 6750, section 3: what a 401 must say.
_CHALLENGE: Header = (b"www-authenticate", b"Bearer")


def authenticate(headers: list[Header], access: Access) -> Caller:
    """The caller. Raises `Refused` (401, as OpenAI's clients expect it), and `Unavailable` while
    the tokens are not known.
    """
    try:
        return access.identify(token_of(headers))
    except Unauthenticated as error:
        message = f"{error.message[:1].upper()}{error.message[1:]}."
        raise refusal(401, message, "invalid_api_key", headers=(_CHALLENGE,)) from error
