"""What every benchmark prints around its ratio: machine, versions, date."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime


def heading(question: str, *packages: str) -> None:
    """The question, and what the answer was measured on."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(question)
    print(
        f"  {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def ratio(what: str, ours: float, reference: float, unit: str, bound: str) -> None:
    """One line: ours, the reference, ours divided by the reference, and what was promised."""
    print(
        f"  {what}: ours {ours:.4g} {unit}, reference {reference:.4g} {unit}, "
        f"ratio {ours / reference:.2f} ({bound})"
    )


def median(values: Sequence[float]) -> float:
    """The middle of what was measured."""
    return statistics.median(values)


def allowed(what: str, value: float, bound: float, unit: str) -> None:
    """One line: what was measured, as a part of what was promised at most."""
    print(f"  {what}: {value:.4g} {unit}, {value / bound:.2f} of the {bound:.4g} {unit} allowed")
