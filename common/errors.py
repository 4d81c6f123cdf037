"""Every expected failure, as a tree.

The code is what a client sees; the class is what our code catches.

ProxyError
├── InvalidRequest        the payload does not fit the contract
├── UnknownCommand        no such command
├── Unauthenticated       no token, or none that is valid
├── PermissionDenied      the caller may not do this
├── ModelNotFound         no model with this id
├── ModelLoadFailed       the model did not become ready
├── ModelUnloadFailed     the model could not be stopped
├── PresetNotFound        no preset with this filename
├── PresetSaveFailed      a preset was refused, or the disk said no
├── TokenNotFound         no access token with this id
├── RequestNotFound       no request with this id
├── ConfigInvalid         a wrong key or value in the configuration
├── Unavailable           the process that should answer is not there
├── Busy                  its queue is full
├── DeadlineExceeded      it did not answer in time
└── ServerError           anything that nobody expected
"""

from __future__ import annotations

from typing import Any, ClassVar


class ProxyError(Exception):
    """Base of all expected failures.

    `code` is stable and documented (docs/api.md); `message` is one or more full sentences that say
    what was wrong, what is allowed and what to do; `details` holds the same as data, if any.
    """

    code: ClassVar[str] = "SERVER_ERROR"

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidRequest(ProxyError):
    """A payload that does not fit the command's contract."""

    code = "INVALID_REQUEST"


class UnknownCommand(ProxyError):
    """A command name that the catalogue does not hold, or that is not for clients."""

    code = "UNKNOWN_COMMAND"


class Unauthenticated(ProxyError):
    """No access token where one is needed, or one that is not (or no longer) valid."""

    code = "UNAUTHENTICATED"


class PermissionDenied(ProxyError):
    """The caller's role, origin or address does not allow this."""

    code = "PERMISSION_DENIED"


class ModelNotFound(ProxyError):
    """No model with the given id is in the inventory."""

    code = "MODEL_NOT_FOUND"


class ModelLoadFailed(ProxyError):
    """A load was refused, cancelled or timed out, or the engine ended: see `details.reason`."""

    code = "MODEL_LOAD_FAILED"


class ModelUnloadFailed(ProxyError):
    """An instance could not be stopped in time."""

    code = "MODEL_UNLOAD_FAILED"


class TokenNotFound(ProxyError):
    """No access token has the given id."""

    code = "TOKEN_NOT_FOUND"


class RequestNotFound(ProxyError):
    """No request with the given id is under way, or known to the history."""

    code = "REQUEST_NOT_FOUND"


class PresetNotFound(ProxyError):
    """No preset with the given filename is in the presets directory."""

    code = "PRESET_NOT_FOUND"


class PresetSaveFailed(ProxyError):
    """A preset was not written: it has errors (`details.findings`), or the disk said no."""

    code = "PRESET_SAVE_FAILED"


class ConfigInvalid(ProxyError):
    """A wrong key or value in the configuration; the message names its path and what is allowed."""

    code = "CONFIG_INVALID"


class Unavailable(ProxyError):
    """The target process is not connected to the backplane."""

    code = "UNAVAILABLE"


class Busy(ProxyError):
    """The target's queue is full, or a limit is reached; the same request may succeed later."""

    code = "BUSY"


class DeadlineExceeded(ProxyError):
    """No answer before the request's deadline. Whether it was carried out is not known."""

    code = "DEADLINE_EXCEEDED"


class ServerError(ProxyError):
    """Something nobody expected; the traceback is in the log, never on the wire."""

    code = "SERVER_ERROR"


def _by_code() -> dict[str, type[ProxyError]]:
    return {cls.code: cls for cls in ProxyError.__subclasses__()}


BY_CODE = _by_code()


def from_code(code: str, message: str, details: dict[str, Any] | None = None) -> ProxyError:
    """The exception for an error that came over the wire; an unknown code becomes `ServerError`."""
    return BY_CODE.get(code, ServerError)(message, details)
