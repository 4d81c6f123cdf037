"""Calls to supervisord over its unix socket (XML-RPC; api.html of its manual).

supervisord looks at its children once a second, or at once when a call comes in; so whoever asks
often also makes it faster.
"""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_TIMEOUT_S = 2.0
_URL = "SUPERVISOR_SERVER_URL"
_SOCKET_URL = "unix://"
_HARMLESS = ("NOT_RUNNING", "ALREADY_STARTED")
"""Refusals of what is so already."""


class SupervisorUnreachable(Exception):
    """supervisord does not answer, or refuses: not started yet, hung, or shutting down."""


class ProgramState(NamedTuple):
    """One program. `state` is as supervisord names it: RUNNING, BACKOFF, STOPPING …; `pid` is 0
    while it does not run.
    """

    name: str
    group: str
    state: str
    pid: int

    @property
    def full_name(self) -> str:
        """What calls take: a name alone may be another program's, too."""
        return f"{self.group}:{self.name}"


def socket_of(environ: Mapping[str, str]) -> Path:
    """Where the supervisord that started this process takes calls.

    It says so in the environment of its programs (subprocess.html of its manual). Raises
    SupervisorUnreachable where it says nothing, or names no unix socket.
    """
    url = environ.get(_URL, "")
    if not url:
        raise SupervisorUnreachable("no supervisord that takes calls has started this process")
    if not url.startswith(_SOCKET_URL):
        raise SupervisorUnreachable(f"the supervisord at {url} takes no calls by a unix socket")
    return Path(url.removeprefix(_SOCKET_URL))


class SupervisorRpc:
    """One connection per call: supervisord is asked rarely and may be another one by then."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def states(self) -> dict[str, str]:
        """Each program's state, as supervisord names it: RUNNING, BACKOFF, STOPPING …"""
        return {program.name: program.state for program in self.programs()}

    def programs(self) -> list[ProgramState]:
        """All programs, also such that are not ours."""
        infos = self._call("supervisor.getAllProcessInfo")
        return [
            ProgramState(info["name"], info["group"], info["statename"], info["pid"])
            for info in infos
        ]

    def start(self, program: str) -> None:
        """Start a program, without waiting; one that runs already is fine."""
        self._call("supervisor.startProcess", program, False)

    def signal(self, program: str, name: str) -> None:
        """Send a signal, `USR1` say, to a program's process, if it has one."""
        self._call("supervisor.signalProcess", program, name)

    def stop(self, program: str) -> None:
        """Ask a program to stop, without waiting; one that has stopped already is fine."""
        self._call("supervisor.stopProcess", program, False)

    def kill(self, program: str) -> None:
        """KILL a program's process, if it has one."""
        self.signal(program, "KILL")

    def shut_down(self) -> None:
        """Ask supervisord to stop what still runs and to end."""
        self._call("supervisor.shutdown")

    def _call(self, method: str, *arguments: Any) -> Any:
        request = xmlrpc.client.dumps(arguments, method)
        connection = _UnixConnection(self._socket_path)
        try:
            connection.request("POST", "/RPC2", request, {"Content-Type": "text/xml"})
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                raise SupervisorUnreachable(f"supervisord answers {response.status} to {method}")
            (result,), _ = xmlrpc.client.loads(response.read())
        except xmlrpc.client.Fault as fault:
            if any(fault.faultString.startswith(harmless) for harmless in _HARMLESS):
                return None
            raise SupervisorUnreachable(f"supervisord refuses {method}: {fault}") from fault
        except (OSError, http.client.HTTPException) as error:
            raise SupervisorUnreachable(f"supervisord does not answer: {error}") from error
        finally:
            connection.close()
        return result


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, socket_path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._socket_path = socket_path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._socket_path))
