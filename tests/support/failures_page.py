"""docs/failures.md as data: what is promised there is what the tests go through."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.support.repository import ROOT

_SECONDS = re.compile(r"(\d+) s\b")


@dataclass(frozen=True)
class Promise:
    """One row. `cut` is in words; `shown_s` and `right_again_s` are the seconds its cells begin
    with, None where they begin with none."""

    hit: str
    by: str
    cut: str
    shown_s: float | None
    right_again_s: float | None

    def __str__(self) -> str:
        return f"{self.hit}-{self.by}"


def promises() -> list[Promise]:
    """All rows, in their order."""
    page = (ROOT / "docs" / "failures.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    return [
        Promise(hit, by, cut, _seconds(shown), _seconds(right_again))
        for hit, by, cut, shown, right_again, _ in (row for row in rows if len(row) == 6)
        if hit != "hit"
    ]


def promise(hit: str, by: str) -> Promise:
    """One row; fails where there is none or more than one."""
    (found,) = [row for row in promises() if (row.hit, row.by) == (hit, by)]
    return found


def right_again_s(hit: str, by: str) -> float:
    """How soon all is right again after this; fails where the row promises nothing."""
    bound_s = promise(hit, by).right_again_s
    assert bound_s is not None
    return bound_s


def _seconds(cell: str) -> float | None:
    found = _SECONDS.match(cell)
    return float(found[1]) if found else None
