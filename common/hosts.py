"""What a configured host is: a number or a name, ours alone or reachable by others."""

from __future__ import annotations

import ipaddress


def is_address(host: str) -> bool:
    """Whether `host` is an address in numbers, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_reachable(host: str) -> bool:
    """Whether other hosts may reach `host`; names are not looked up."""
    if is_address(host) and ipaddress.ip_address(host).is_unspecified:
        return False
    return not is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether `host` can be reached from this machine only; names other than localhost count not.

    A name is not looked up: what it stands for may change after the check.
    """
    try:
        return ipaddress.ip_address(numeric(host)).is_loopback
    except ValueError:
        return False


def numeric(host: str) -> str:
    """`localhost` in numbers; all else as it is."""
    return "127.0.0.1" if host.lower() == "localhost" else host
