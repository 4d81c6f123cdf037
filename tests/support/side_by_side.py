"""Where tests run side by side (`pytest -n 2`), which of them stay together, and what starts first.

The tests of a file share its stack, so they run in one process. pytest-xdist's own `loadgroup` asks
for the same by a mark, but says it by a private field that pytest 9.2 no longer reads: the groups
fall apart without a word.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# What measures how soon a stack is right again, or what is left of one: one after the other, so
# that none of them has more than one other test beside it.
TIMED = frozenset(
    {"test_survival", "test_stopping", "test_down", "test_second_host", "test_own_supervisord"}
)


def group_of(node_id: str) -> str:
    """What the test stays together with: its file, `timed`, or `browser`.

    Tests in a browser share one stack and one browser, whichever file they are in.
    """
    path = node_id.split("::", 1)[0]
    if "/browser/" in path:
        return "browser"
    return "timed" if PurePosixPath(path).stem in TIMED else path


class GroupScheduling(LoadScopeScheduling):
    """A process that is free takes the next whole group, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """xdist's hook: the scheduler of this run."""
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups first, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: _turn(item.nodeid))


def _turn(node_id: str) -> int:
    """0 for what starts first."""
    if group_of(node_id) == "timed":
        return 0
    return 1 if "/system/" in node_id or "/browser/" in node_id else 2
