"""The owner of `config.toml`: changes it when asked, and tells every process what holds now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from common.api import config
from common.api.config import (
    CheckedConfig,
    ConfigDifference,
    ConfigProblem,
    CurrentSettings,
    ProposedChanges,
    UpdatedConfig,
)
from common.bus.bus import Bus
from common.engine_flags.catalogue import Catalogue, shipped
from common.engine_flags.places import path_rule
from common.errors import ConfigInvalid, PermissionDenied, ServerError
from common.exposure import check_guarded
from common.home import Home
from common.live_settings import LiveSettings
from common.settings import Settings
from common.settings_difference import Difference, differences, restarts
from common.settings_effects import StartedAnew
from common.settings_secrets import hide
from common.settings_source import Problem, config_path, refusal
from common.settings_values import as_json, misfit, shown
from workers.controller.configuration import entrance, file, flags, server_program
from workers.controller.configuration.proposal import Proposal, propose

logger = logging.getLogger(__name__)

CatalogueInUse = Callable[[], Awaitable[Catalogue]]
"""Tells the flags of the engine in use."""

ROW = "main"
"""The one row of the table: the settings of the main host."""


async def only_shipped() -> Catalogue:
    """For where no runner can be asked which flags its engine has."""
    return shipped()


class Configuration:
    """Answers `config:apply` and `config:check`. One change after another.

    `live` are the settings of this very process, which follows like all others. `catalogue` is what
    `llama.flags` are held against.
    """

    def __init__(
        self,
        bus: Bus,
        home: Home,
        live: LiveSettings,
        *,
        given: Path | None,
        environ: Mapping[str, str],
        catalogue: CatalogueInUse = only_shipped,
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._home = home
        self._live = live
        self._path = config_path(home.root, given, environ) or home.config_file
        self._environ = environ
        self._turn = asyncio.Lock()
        self._table = bus.table(config.SETTINGS)
        self._tell()
        bus.serve(config.APPLY, self.apply)
        bus.serve(config.CHECK, self.check)

    async def apply(self, request: ProposedChanges) -> UpdatedConfig:
        """Write the changes down and have them hold. Raises `ConfigInvalid`, `PermissionDenied`,
        `ServerError` where the disk refuses; nothing has changed then.
        """
        async with self._turn:
            proposal, old_text = await self._proposal(request)
            changed = differences(self._live.current, proposal.after)
            updated = bool(changed) or proposal.text != old_text
            await asyncio.to_thread(self._put_in_place, proposal, old_text)
            self._live.replace(proposal.after)
            self._tell()
        if changed:
            logger.info("changed: %s", ", ".join(difference.path for difference in changed))
        restart = self._processes(restarts(changed))
        return UpdatedConfig(updated=updated, restart_required=bool(restart), restart=restart)

    async def check(self, request: ProposedChanges) -> CheckedConfig:
        """What `apply` would answer, and why it would refuse."""
        async with self._turn:
            try:
                proposal, _ = await self._proposal(request)
            except (ConfigInvalid, PermissionDenied) as error:
                return CheckedConfig(
                    valid=False,
                    errors=_problems(error),
                    diff=(),
                    restart_required=False,
                    restart=(),
                )
            changed = differences(self._live.current, proposal.after)
        restart = self._processes(restarts(changed))
        return CheckedConfig(
            valid=True,
            errors=(),
            diff=tuple(self._shown(changed, self._live.current, proposal.after)),
            restart_required=bool(restart),
            restart=restart,
        )

    async def _proposal(self, request: ProposedChanges) -> tuple[Proposal, str]:
        text = await asyncio.to_thread(file.read, self._path)
        proposal = propose(
            text,
            request.changes,
            request.role,
            where=str(self._path),
            known=self._live.current,
            environ=self._environ,
        )
        await self._check_places(proposal)
        return proposal, text

    async def _check_places(self, proposal: Proposal) -> None:
        """What only a look at this host tells. Raises ConfigInvalid."""
        after, asked = proposal.after, {difference.path for difference in proposal.asked}
        problems: list[Problem] = []
        if "llama.modelsDir" in asked:
            wrong = await asyncio.to_thread(_unusable, self._home, self._home.models(after))
            if wrong is not None:
                problems.append(_problem("llama.modelsDir", after.llama.models_dir, wrong))
        if "llama.serverPath" in asked and after.llama.server_path:
            wrong = await server_program.problem_of(
                Path(after.llama.server_path),
                [self._home.resolve(path) for path in after.llama.allowed_server_dirs],
                self._environ,
            )
            if wrong is not None:
                problems.append(_problem("llama.serverPath", after.llama.server_path, wrong))
        if "llama.flags" in asked:
            catalogue = await self._catalogue()
            problems += await asyncio.to_thread(self._wrong_flags, proposal, catalogue)
        problems += await asyncio.to_thread(self._closed_entrances, after, asked)
        if problems:
            raise refusal(problems)
        if not asked.isdisjoint({"server.host", "llama.host"}):
            await asyncio.to_thread(check_guarded, after, self._home, "server", "llama")

    def _wrong_flags(self, proposal: Proposal, catalogue: Catalogue) -> list[Problem]:
        before, after = proposal.before.llama.flags, proposal.after.llama.flags
        rule = path_rule(self._home, proposal.after)
        place = f"a file below {self._home.models(proposal.after)} or {self._home.root}"
        problems = []
        for name, problem in flags.wrong(before, after, catalogue, rule):
            known = catalogue.find(name)
            allowed = place if known is not None and known.type == "path" else ""
            problems.append(
                Problem(f"llama.flags.{name}", "", problem, shown(after[name]), allowed)
            )
        return problems

    def _closed_entrances(self, after: Settings, asked: set[str]) -> list[Problem]:
        here = self._bus.identity.host
        ours = {beat.pid for beat in self._bus.members if beat.host == here}
        problems = []
        for section, listening in (("server", after.server), ("llama", after.llama)):
            for name, value in (("host", listening.host), ("port", listening.port)):
                if f"{section}.{name}" in asked:
                    wrong = entrance.unusable(listening.host, listening.port, ours)
                    if wrong is not None:
                        problems.append(_problem(f"{section}.{name}", value, wrong))
                        break
        return problems

    def _put_in_place(self, proposal: Proposal, old_text: str) -> None:
        models = self._home.models(proposal.after)
        if models.is_relative_to(self._home.root):
            try:
                models.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ServerError(
                    f"{models} cannot be made: {error.strerror}; nothing has changed"
                ) from error
        if proposal.text != old_text:
            file.write(self._path, proposal.text)

    def _tell(self) -> None:
        settings = as_json(self._live.current)
        self._table.put(ROW, CurrentSettings(settings=settings))

    def _shown(
        self, changed: Iterable[Difference], before: Settings, after: Settings
    ) -> Iterable[ConfigDifference]:
        old, new = (hide(as_json(settings)) for settings in (before, after))
        for difference in changed:
            key = difference.key
            yield ConfigDifference(
                path=key.path,
                before=_of(old, key.section, key.name),
                after=_of(new, key.section, key.name),
                restart=self._processes(restarts([difference])),
            )

    def _processes(self, kinds: Iterable[StartedAnew]) -> tuple[str, ...]:
        """The processes of these kinds as `system:status` names them."""
        return tuple(name for kind in kinds for name in self._named(kind))

    def _named(self, kind: StartedAnew) -> list[str]:
        if kind == "up":
            return [kind]
        return self._bus.present(kind) or [f"{kind}@{self._bus.identity.host}"]


def _unusable(home: Home, directory: Path) -> str | None:
    """Why this cannot be the models' directory, as what is allowed instead. Blocks."""
    if "\0" in str(directory):
        return "a path without a zero byte"
    if directory.is_dir() or (directory.is_relative_to(home.root) and not directory.exists()):
        return None
    return "a directory that is there"


def _problem(path: str, given: object, allowed: str) -> Problem:
    wrong = misfit(path, given, allowed)
    return Problem(path, "", wrong.text, wrong.given, wrong.allowed)


def _problems(error: ConfigInvalid | PermissionDenied) -> tuple[ConfigProblem, ...]:
    """The parts of a refusal, one by one."""
    details = error.details or {}
    if isinstance(error, PermissionDenied):
        return tuple(
            ConfigProblem(path=path, message=error.message) for path in details.get("paths", ())
        )
    found = details.get("problems") or [{"path": "", "message": error.message}]
    return tuple(
        ConfigProblem(
            path=problem["path"],
            message=problem["message"],
            given=problem.get("given", ""),
            allowed=problem.get("allowed", ""),
        )
        for problem in found
    )


def _of(tables: Mapping[str, Any], section: str, name: str) -> Any:
    return tables[section][name] if section else tables[name]
