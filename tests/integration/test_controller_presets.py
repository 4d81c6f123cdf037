"""Presets: clients, gateway's copy and controller on a real bus, with files on a real disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from common.api import parameters, presets
from common.api.base import Command, Struct
from common.api.models import UnloadModel
from common.api.parameters import DescribeParameters, EngineParameters, Parameter
from common.api.presets import (
    AppliedPreset,
    ApplyPreset,
    DeletePreset,
    GetLlamaParams,
    ListPresets,
    Preset,
    ReadPreset,
    RenamePreset,
    ResolvePreset,
    SavePreset,
    Sections,
    ValidateConfig,
    Validation,
)
from common.bus import rpc
from common.bus.bus import Bus
from common.caller import PROCESS
from common.dispatch import Dispatcher
from common.errors import (
    InvalidRequest,
    ModelLoadFailed,
    ModelNotFound,
    PresetNotFound,
    PresetSaveFailed,
)
from gateway.handlers.presets import PresetHandlers
from tests.support.bus import Joiner, hear_late
from tests.support.controller_world import MakeWorld, World, reason, worlds
from tests.support.waiting import until

Req = TypeVar("Req", bound=Struct)
Rep = TypeVar("Rep", bound=Struct)

SMALL: Sections = {"*": {"ctx-size": "2048", "temp": "0.5"}}


@dataclass
class Client:
    """What a gateway does for its clients, on the world's bus."""

    bus: Bus
    handlers: PresetHandlers
    directory: Path

    async def ask(self, command: Command[Req, Rep], request: Req) -> Rep:
        return await self.bus.call("controller", command, request)

    async def save(self, filename: str, config: Any, **fields: Any) -> None:
        await self.ask(presets.SAVE, SavePreset(filename=filename, config=config, **fields))

    async def apply(self, filename: str, *models: str) -> AppliedPreset:
        return await self.ask(presets.APPLY, ApplyPreset(filename=filename, models=models))

    async def listed(self) -> dict[str, Preset]:
        found = await self.handlers.list(ListPresets())
        return {row.filename: row for row in found.presets}

    def write(self, name: str, text: str) -> None:
        """As somebody does with an editor."""
        self.directory.mkdir(exist_ok=True)
        (self.directory / f"{name}.ini").write_text(text)


@pytest.fixture
async def make_world(
    joiner: Joiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeWorld]:
    monkeypatch.setattr(rpc, "UNAVAILABLE_PATIENCE_S", 0.2)
    async with worlds(joiner, tmp_path / "desired.json") as make:
        yield make


MakeClient = Callable[[], Awaitable[Client]]


@pytest.fixture
def make_client(joiner: Joiner, tmp_path: Path) -> MakeClient:
    async def make() -> Client:
        bus = joiner.create("gateway-2@testhost", "gateway")
        client = Client(bus, PresetHandlers(bus), tmp_path / "presets")
        await joiner.start(bus)
        return client

    return make


def findings(error: pytest.ExceptionInfo[PresetSaveFailed]) -> list[tuple[str, str]]:
    assert error.value.details is not None
    assert error.value.details["reason"] == "invalid"
    return [
        (finding["section"], finding["key"])
        for finding in error.value.details["findings"]
        if finding["severity"] == "error"
    ]


class TestFiles:
    async def test_a_preset_is_saved_read_listed_and_deleted(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()
        assert await client.listed() == {}
        request = SavePreset(
            filename="small.ini", config=dict(SMALL), name="Small", description="little"
        )
        saved = await client.ask(presets.SAVE, request)
        assert saved.filename == "small"
        assert saved.saved_at.endswith("Z")

        read = await client.ask(presets.READ, ReadPreset(filename="small"))
        assert (read.filename, read.name, read.description) == ("small", "Small", "little")
        assert read.models == SMALL
        assert read.content == (client.directory / "small.ini").read_text()
        await until(lambda: "small" in client.handlers.copy)
        row = Preset(filename="small", name="Small", description="little", models=SMALL)
        assert await client.listed() == {"small": row}

        deleted = await client.ask(presets.DELETE, DeletePreset(filename="small"))
        assert deleted.deleted
        await until(lambda: not client.handlers.copy)
        with pytest.raises(PresetNotFound):
            await client.ask(presets.READ, ReadPreset(filename="small"))
        with pytest.raises(PresetNotFound):
            await client.ask(presets.DELETE, DeletePreset(filename="small"))

    async def test_a_list_shows_what_was_changed_just_now(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()
        dispatcher = Dispatcher()
        client.handlers.register(dispatcher)

        async def ask(command: Command[Req, Rep], request: Req) -> None:
            await dispatcher.answer(command.name, lambda _kind: request, PROCESS)

        hear_late(client.bus, 0.2)
        await ask(presets.SAVE, SavePreset(filename="one", config=dict(SMALL)))
        assert (await client.listed()).keys() == {"one"}
        await ask(presets.RENAME, RenamePreset(filename="one", to="two"))
        assert (await client.listed()).keys() == {"two"}
        await ask(presets.DELETE, DeletePreset(filename="two"))
        assert await client.listed() == {}

    async def test_what_is_changed_by_hand_is_noticed(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()
        client.write("mine", "[*]\ntemp = 0.1\n")
        await until(lambda: "mine" in client.handlers.copy)
        client.write("mine", "[*]\ntemp = 0.2\n")
        read = await client.ask(presets.READ, ReadPreset(filename="mine"))
        assert read.models == {"*": {"temp": "0.2"}}
        assert (read.name, read.description) == ("mine", "")
        await until(lambda: client.handlers.copy["mine"].models == read.models)
        client.write("mine", "nonsense\n")
        await until(lambda: client.handlers.copy["mine"].models == {})
        assert "line 1" in str((await client.listed())["mine"].problem)
        with pytest.raises(PresetSaveFailed, match="content"):
            await client.save("mine", dict(SMALL))
        await client.ask(presets.SAVE, SavePreset(filename="mine", content="[*]\ntemp = 1\n"))
        assert (client.directory / "mine.ini").read_text() == "[*]\ntemp = 1\n"

    async def test_saving_keeps_what_it_was_not_given(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()
        client.write("mine", "# mine\n[*]\nc = 1 ; why\n; more\n[other]\nmodel = /x.gguf\n[old]\n")
        await client.save("mine", {"*": {"c": "512"}, "old": None}, name="Mine")
        text = (client.directory / "mine.ini").read_text()
        assert text == (
            "; name: Mine\n# mine\n[*]\nc = 512 ; why\n; more\n[other]\nmodel = /x.gguf\n"
        )

    async def test_of_saves_at_once_the_last_one_wins_whole(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()
        configs = [{"*": {"ctx-size": str(n), "seed": str(n)}} for n in range(101, 121)]
        await asyncio.gather(*(client.save("mine", config) for config in configs))
        read = await client.ask(presets.READ, ReadPreset(filename="mine"))
        assert read.models in configs

    async def test_a_preset_is_renamed_and_its_models_follow(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        client = await make_client()
        await client.save("one", dict(SMALL))
        await client.save("two", dict(SMALL))
        await client.apply("one", "qwen")
        with pytest.raises(PresetSaveFailed, match="already"):
            await client.ask(presets.RENAME, RenamePreset(filename="one", to="two"))
        renamed = await client.ask(presets.RENAME, RenamePreset(filename="one", to="three"))
        assert renamed.filename == "three"
        await until(lambda: client.handlers.copy.keys() == {"two", "three"})
        assert (await client.listed())["three"].applied_to == ("qwen",)
        assert (await world.client.load("qwen")).preset == "three"

    @pytest.mark.parametrize(
        "filename", ["../x", "a/b", "/etc/x", "%2e%2e", "a\0", "a\n", ".hidden", "", "a" * 65]
    )
    async def test_names_that_lead_elsewhere_are_refused(
        self, make_world: MakeWorld, make_client: MakeClient, filename: str, tmp_path: Path
    ) -> None:
        world = await make_world()
        await world.add("qwen")
        client = await make_client()
        await client.save("mine", dict(SMALL))
        before = sorted(tmp_path.rglob("*"))
        for request in (
            client.save(filename, dict(SMALL)),
            client.ask(presets.RENAME, RenamePreset(filename="mine", to=filename)),
        ):
            with pytest.raises(PresetSaveFailed):
                await request
        for other in (
            client.ask(presets.READ, ReadPreset(filename=filename)),
            client.ask(presets.DELETE, DeletePreset(filename=filename)),
            client.ask(presets.RENAME, RenamePreset(filename=filename, to="x")),
            client.ask(presets.RESOLVE, ResolvePreset(filename=filename, id="qwen")),
            client.apply(filename),
            world.client.load("qwen", preset=filename),
        ):
            with pytest.raises(PresetNotFound):
                await other
        assert sorted(tmp_path.rglob("*")) == before

    async def test_what_cannot_be_written_is_refused_with_the_old_file_intact(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()
        await client.save("mine", dict(SMALL))
        before = (client.directory / "mine.ini").read_text()
        bad = {"*": {"k\n[x]": "1", "temp": "1\nrpc = x"}, "a]b": {}, "x\ny": {"temp": "1"}}
        with pytest.raises(PresetSaveFailed) as caught:
            await client.save("mine", bad)
        assert findings(caught) == [("*", "k\n[x]"), ("*", "temp"), ("a]b", ""), ("x\ny", "")]
        with pytest.raises(PresetSaveFailed):
            await client.save("mine", {}, name="two\nlines")
        with pytest.raises(PresetSaveFailed):
            await client.ask(presets.SAVE, SavePreset(filename="mine", content="[*]\noops\n"))
        with pytest.raises(InvalidRequest):
            await client.ask(presets.SAVE, SavePreset(filename="mine"))
        with pytest.raises(InvalidRequest):
            await client.save("mine", {}, content="")
        assert (client.directory / "mine.ini").read_text() == before

    async def test_what_the_engine_would_refuse_is_not_saved(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()
        bad = {"*": {"ctx-size": "many", "port": "1", "no-such-flag": "1", "temp": "0.5"}}
        with pytest.raises(PresetSaveFailed) as caught:
            await client.save("mine", bad)
        assert findings(caught) == [("*", "ctx-size"), ("*", "port"), ("*", "no-such-flag")]
        assert not client.directory.exists()
        checked = await client.ask(
            presets.VALIDATE_CONFIG, ValidateConfig(filename="mine", config=dict(bad))
        )
        assert not checked.valid
        assert len(checked.errors) == 3
        assert [finding.key for finding in checked.findings] == ["ctx-size", "port", "no-such-flag"]
        right = ValidateConfig(filename="mine", config={"*": {"ctx-size": "4096"}})
        assert (await client.ask(presets.VALIDATE_CONFIG, right)).valid
        assert not (
            await client.ask(presets.VALIDATE_CONFIG, ValidateConfig(filename="../x", config={}))
        ).valid

    async def test_a_whole_text_is_checked_as_it_would_be_saved(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()

        async def checked(**said: Any) -> Validation:
            return await client.ask(
                presets.VALIDATE_CONFIG, ValidateConfig(filename="mine", **said)
            )

        assert (await checked(content="; mine\n[*]\nctx-size = 4096\n")).valid
        wrong = await checked(content="[*]\nctx-size = many\n")
        assert [(one.section, one.key) for one in wrong.findings] == [("*", "ctx-size")]
        assert (await checked(content="[*\n")).errors == (
            "line 1: a section is written as [its name]",
        )
        for unclear in ({}, {"config": {}, "content": ""}):
            with pytest.raises(InvalidRequest):
                await checked(**unclear)

    async def test_keys_that_only_a_preset_has_are_checked_and_kept(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        await make_world()
        client = await make_client()
        await client.save("mine", {"*": {"load-on-startup": "true", "stop-timeout": "3"}})
        with pytest.raises(PresetSaveFailed) as caught:
            await client.save("mine", {"*": {"load-on-startup": "maybe", "stop-timeout": "-1"}})
        assert findings(caught) == [("*", "load-on-startup"), ("*", "stop-timeout")]


class TestEngineFlags:
    async def test_the_flags_are_those_of_the_engine_in_use(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        client = await make_client()
        shipped = await client.ask(presets.GET_LLAMA_PARAMS, GetLlamaParams())
        assert shipped.engine == "shipped"
        names = {flag.name for flags in shipped.parameters.values() for flag in flags}
        assert {"ctx-size", "n-gpu-layers", "threads", "temp"} <= names

        flag = Parameter(name="very-new", type="int", default="7", category="Sampling")

        async def describe(_request: DescribeParameters) -> EngineParameters:
            return EngineParameters(
                kind="llama-server", path="/x", version="b1", parameters=(flag,)
            )

        world.runner.bus.serve(parameters.PARAMETERS, describe)
        told = await client.ask(presets.GET_LLAMA_PARAMS, GetLlamaParams())
        assert (told.engine, told.version) == ("llama-server", "b1")
        assert told.parameters == {"Sampling": (flag,)}
        await client.save("new", {"*": {"very-new": "1"}})
        with pytest.raises(PresetSaveFailed):
            await client.save("new", {"*": {"ctx-size": "1"}})


class TestLoading:
    async def test_the_named_preset_is_used_else_the_applied_else_default(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        await world.add("a", "b")
        client = await make_client()
        assert await load(world, "a") == (None, {})
        for name, context in (("default", "100"), ("every", "200"), ("some", "300")):
            await client.save(name, {"*": {"ctx-size": context}})
        assert await load(world, "a") == ("default", {"ctx-size": "100"})
        assert (await client.apply("every")).applied_to == ("*",)
        assert (await client.apply("some", "a")).applied_to == ("a",)
        assert await load(world, "a") == ("some", {"ctx-size": "300"})
        assert await load(world, "b") == ("every", {"ctx-size": "200"})
        assert await load(world, "a", "default") == ("default", {"ctx-size": "100"})
        assert await load(world, "a") == ("some", {"ctx-size": "300"})
        await client.ask(presets.DELETE, DeletePreset(filename="some"))
        assert await load(world, "a") == ("every", {"ctx-size": "200"})
        assert (await client.apply("default", "*")).applied_to == ("*",)
        assert await load(world, "b") == ("default", {"ctx-size": "100"})

    async def test_what_was_applied_survives_the_controller(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        await world.add("a")
        client = await make_client()
        await client.save("some", dict(SMALL))
        await client.apply("some", "a")
        await world.replace_controller()
        assert (await load(world, "a"))[0] == "some"

    async def test_a_preset_that_is_not_there_is_told_before_anything_happens(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        await world.add("a")
        client = await make_client()
        with pytest.raises(PresetNotFound):
            await world.client.load("a", preset="nope")
        with pytest.raises(PresetNotFound):
            await client.apply("nope")
        await client.save("some", dict(SMALL))
        with pytest.raises(ModelNotFound):
            await client.apply("some", "a", "unknown")
        assert world.statuses("a") == ["unloaded"]
        await client.apply("some")
        await until(lambda: client.handlers.copy)
        (client.directory / "some.ini").unlink()
        await until(lambda: not client.handlers.copy)
        with pytest.raises(PresetNotFound):
            await world.client.load("a")

    async def test_a_preset_that_was_broken_by_hand_fails_the_load(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        await world.add("a")
        client = await make_client()
        client.write("broken", "oops\n")
        client.write("holes", "[*]\napi-key = x\n")
        for name, why in (("broken", "preset_unusable"), ("holes", "preset_invalid")):
            with pytest.raises(ModelLoadFailed) as caught:
                await world.client.load("a", preset=name)
            assert reason(caught) == why
        assert world.runner.started == []

    async def test_another_preset_that_is_named_has_a_loaded_model_loaded_anew(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        await world.add("a")
        client = await make_client()
        for name in ("one", "two"):
            await client.save(name, {"*": {"seed": str(len(name))}})
        first = await world.client.load("a", preset="one")
        assert await world.client.load("a", preset="one") == first
        assert await world.client.load("a") == first
        second = await world.client.load("a", preset="two")
        assert (first.preset, second.preset) == ("one", "two")
        assert world.runner.stopped == [first.instance_id]
        assert world.statuses("a")[-4:] == ["unloading", "unloaded", "loading", "loaded"]

    @pytest.mark.parametrize("named", [None, "two"])
    async def test_a_load_during_an_eviction_that_is_given_up(
        self, make_world: MakeWorld, make_client: MakeClient, named: str | None
    ) -> None:
        world = await make_world(max_models=1, drain_timeout_seconds=0.2, queue_timeout=2)
        await world.add("a", "b")
        client = await make_client()
        for name in ("one", "two"):
            await client.save(name, {"*": {"seed": str(len(name))}})
        first = await world.client.load("a", preset="one")
        assert first.instance_id is not None
        world.proxy.use_untold(first.instance_id, 1)
        load_b = world.begin_load("b")
        await world.seen("a", "unloading")
        second = await world.client.load("a", preset=named)
        assert second.preset == (named or "one")
        assert (second.instance_id == first.instance_id) is (named is None)
        if named is None:
            world.proxy.use(first.instance_id, 1)
        with suppress(ModelLoadFailed):
            await load_b

    async def test_adopted_and_restored_models_keep_their_preset(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        await world.add("a", "b")
        client = await make_client()
        for name in ("one", "two"):
            await client.save(name, {"*": {"seed": str(len(name))}})
        await world.client.load("a", preset="one")
        await world.client.load("b", preset="two")
        await until(lambda: "two" in remembered(world.desired_file))
        await world.controller.stop()
        await world.joiner.stop(world.controller.bus)
        world.runner.lose("b")
        (client.directory / "two.ini").rename(client.directory / "default.ini")
        await world.start_controller()
        await until(lambda: len(world.runner.started) == 3)

        def loaded_with(model_id: str) -> str | None:
            model = world.client.find(model_id)
            return model.preset if model is not None and model.status == "loaded" else None

        await until(lambda: loaded_with("b") == "default")
        assert loaded_with("a") == "one"
        assert world.runner.started[-1].flags == {"seed": "3"}

    async def test_a_preset_may_have_models_loaded_at_the_start(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world()
        await world.add("a", "b", "c")
        client = await make_client()
        await client.save("default", {"a": {"load-on-startup": "true", "seed": "5"}, "b": {}})
        await client.save("lazy", {"*": {"load-on-startup": "on"}, "c": {"load-on-startup": "0"}})
        await client.apply("lazy", "b", "c")
        await world.replace_controller()
        for model_id in ("a", "b"):
            await world.seen(model_id, "loaded")
        assert world.status("c") == "unloaded"
        assert {start.model_id: start.flags for start in world.runner.started} == {
            "a": {"seed": "5"},
            "b": {},
        }

    async def test_resolve_says_where_each_value_comes_from(
        self, make_world: MakeWorld, make_client: MakeClient
    ) -> None:
        world = await make_world(flags={"threads": "4", "c": "1"})
        await world.add("qwen-7b")
        client = await make_client()
        config = {
            "*": {"temp": "0.1", "top-k": "1", "no-jinja": "true"},
            "qwen*": {"temp": "0.2", "seed": "1"},
            "qwen-7b": {"temp": "0.3", "LLAMA_ARG_CTX_SIZE": "64"},
            "other": {"temp": "0.4"},
        }
        await client.save("mine", config)
        resolved = await client.ask(presets.RESOLVE, ResolvePreset(filename="mine", id="qwen-7b"))
        shown = {
            name: (value.value, value.source, value.section or None)
            for name, value in resolved.parameters.items()
        }
        expected = {
            "temp": ("0.3", "model", "qwen-7b"),
            "ctx-size": ("64", "model", "qwen-7b"),
            "seed": ("1", "group", "qwen*"),
            "top-k": ("1", "[*]", "*"),
            "jinja": ("false", "[*]", "*"),
            "threads": ("4", "config", None),
        }
        assert shown.items() >= expected.items()
        assert shown["min-p"][1:] == ("default", None)
        with pytest.raises(ModelNotFound):
            await client.ask(presets.RESOLVE, ResolvePreset(filename="mine", id="nope"))
        loaded = await load(world, "qwen-7b", "mine")
        assert loaded[1] == {
            "temp": "0.3",
            "top-k": "1",
            "no-jinja": "true",
            "seed": "1",
            "LLAMA_ARG_CTX_SIZE": "64",
        }


def remembered(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def load(
    world: World, model_id: str, preset: str | None = None
) -> tuple[str | None, dict[str, str]]:
    """Load and unload a model; the preset it had, and the flags that its runner was given."""
    model = await world.client.load(model_id, preset=preset)
    started = world.runner.started[-1]
    assert (started.model_id, started.preset) == (model_id, model.preset)
    await world.client.unload(UnloadModel(id=model_id))
    return model.preset, started.flags
