"""Whether the engine takes what `llama.flags` says, by the rules that presets are held to.

Only what a change touches is judged. The file `config.toml` may name any flag and any path: who
writes there owns the host's configuration anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from common.engine_flags.catalogue import Catalogue
from common.engine_flags.facts import Facts
from common.engine_flags.validation import flag_problems
from common.engine_flags.values import PathRule


def wrong(
    before: Mapping[str, str], after: Mapping[str, str], flags: Catalogue, rule: PathRule
) -> Iterator[tuple[str, str]]:
    """Each flag that has changed and is refused, with why. Blocks, as `rule` does."""
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    yield from flag_problems(changed, flags, Facts(refuse_path=rule))
