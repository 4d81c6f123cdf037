"""Two network namespaces with a cable between them: two hosts, as far as a network can tell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

NEAR_ADDRESS, FAR_ADDRESS = "10.77.31.1", "10.77.31.2"
_NOBODY = "02:00:00:00:00:99"


def why_not() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    if shutil.which("ip") is None:
        return "needs iproute2's `ip`"
    probe = f"lap-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    if made.returncode:
        return "the kernel makes no network namespaces here"
    _ip("netns", "del", probe)
    return ""


@dataclass(frozen=True)
class Namespace:
    """One end of the cable."""

    name: str
    interface: str
    address: str

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command there."""
        return ["ip", "netns", "exec", self.name, *command]


@dataclass(frozen=True)
class Cable:
    """Both ends."""

    near: Namespace
    far: Namespace

    def cut(self) -> None:
        """Lose every packet from now on, without a word to either side."""
        for here, there in ((self.near, self.far), (self.far, self.near)):
            neighbour = (there.address, "lladdr", _NOBODY, "nud", "permanent")
            _ip("-n", here.name, "neigh", "replace", *neighbour, "dev", here.interface)

    def mend(self) -> None:
        """Carry packets again."""
        for here, there in ((self.near, self.far), (self.far, self.near)):
            _ip("-n", here.name, "neigh", "del", there.address, "dev", here.interface)


@contextmanager
def two_hosts() -> Iterator[Cable]:
    """A cable that is gone at the end, with its namespaces."""
    prefix = f"lap{os.getpid()}"
    near = Namespace(f"{prefix}-near", f"{prefix}n", NEAR_ADDRESS)
    far = Namespace(f"{prefix}-far", f"{prefix}f", FAR_ADDRESS)
    made: list[Namespace] = []
    try:
        for end in (near, far):
            _ip("netns", "add", end.name)
            made.append(end)
        veth = ("link", "add", near.interface, "netns", near.name, "type", "veth")
        _ip(*veth, "peer", "name", far.interface, "netns", far.name)
        for end in (near, far):
            _ip("-n", end.name, "addr", "add", f"{end.address}/24", "dev", end.interface)
            _ip("-n", end.name, "link", "set", end.interface, "up")
            _ip("-n", end.name, "link", "set", "lo", "up")
        yield Cable(near, far)
    finally:
        for end in made:
            _ip("netns", "del", end.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)
