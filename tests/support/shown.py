"""What a gateway shows: the processes and models of a stack."""

from __future__ import annotations

from common.api import system
from common.api.system import ProcessStatus, SystemStatus
from common.errors import ProxyError
from deploy.client import Client
from deploy.failure import CommandFailed

_ANSWER_S = 5.0


def status(gateway_url: str) -> SystemStatus:
    """All of it; empty while the gateway does not answer."""
    try:
        with Client(gateway_url) as client:
            return client.call(system.STATUS, system.GetStatus(), _ANSWER_S)
    except (CommandFailed, ProxyError):
        return SystemStatus(processes=(), models=())


def by_program(told: SystemStatus) -> dict[str, ProcessStatus]:
    """The processes of one host by the name of their program: `runner-cpu`."""
    return {process.name.partition("@")[0]: process for process in told.processes}


def loaded(told: SystemStatus) -> set[str]:
    """The models that are shown as loaded."""
    return {model.id for model in told.models if model.status == "loaded"}


def running(told: SystemStatus) -> set[str]:
    """The programs that are shown as running."""
    return {name for name, process in by_program(told).items() if process.status == "running"}
