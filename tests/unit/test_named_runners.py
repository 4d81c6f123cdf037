"""`[[runners]]`: from the file or the variable to the programs of a stack."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from common.devices import Gpu
from common.errors import ConfigInvalid
from common.settings import NamedRunner, Settings
from common.settings_source import load
from deploy.first_start import EXAMPLE
from deploy.stack import missing_devices, stack_programs

PAIR = '[[runners]]\nname = "pair"\ndevices = ["GPU-0", "GPU-1"]\n'
AMD = '[[runners]]\nname = "amd"\nenv = { HIP_VISIBLE_DEVICES = "0" }\n'


def gpu(number: int) -> Gpu:
    return Gpu(f"GPU-{number}", number, "H200", 141 << 30, 140 << 30, 0.0)


def read(home: Path, toml: str, environ: dict[str, str] | None = None) -> Settings:
    (home / "config.toml").write_text(toml)
    return load(home, None, environ or {})


def refusal(home: Path, toml: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        read(home, toml, environ)
    return caught.value.message


def test_runners_are_read_in_order(tmp_path: Path) -> None:
    settings = read(tmp_path, PAIR + AMD)
    assert settings.runners == (
        NamedRunner(name="pair", devices=("GPU-0", "GPU-1")),
        NamedRunner(name="amd", env={"HIP_VISIBLE_DEVICES": "0"}),
    )
    assert settings.runner_named("amd") is settings.runners[1]
    assert settings.runner_named("runner-cpu") is None


def test_the_variable_wins_over_the_file(tmp_path: Path) -> None:
    runners = [{"name": "vulkan", "env": {"GGML_VK_VISIBLE_DEVICES": "1"}}]
    environ = {"LLAMA_PROXY_RUNNERS": json.dumps(runners)}
    assert [runner.name for runner in read(tmp_path, PAIR, environ).runners] == ["vulkan"]


def test_the_example_shows_runners_that_can_be_uncommented(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text().splitlines()
    first = lines.index("# [[runners]]")
    shown = "\n".join(line.removeprefix("# ").removeprefix("#") for line in lines[first:])
    text = shown[: shown.index("[metrics]")]
    assert len(tomllib.loads(text)["runners"]) == 2
    assert [runner.name for runner in read(tmp_path, text).runners] == ["pair", "amd"]


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("[runners]\nname = 'a'", 'runners: given {"name": "a"}; allowed is a list whose items'),
        ("runners = 3", "runners: given 3; allowed is a list whose items are each a table of name"),
        ("runners = ['a']", 'runners[0]: given "a"; allowed is a table of name, devices, env'),
        ("[[runners]]\ndevices = []", "runners[0].name: is missing"),
        ("[[runners]]\nname = ''", 'runners[0].name: given ""; allowed is a string'),
        ("[[runners]]\nname = 'a b'", 'runners[0].name: given "a b"; allowed is a string'),
        ("[[runners]]\nname = 'a'\ndevices = 'GPU-0'", 'runners[0].devices: given "GPU-0"'),
        ("[[runners]]\nname = 'a'\ndevices = [0]", "runners[0].devices[0]: given 0"),
        ("[[runners]]\nname = 'a'\nenv = { X = 1 }", "runners[0].env.X: given 1"),
        ("[[runners]]\nname = 'a'\ngpus = []", "(known: name, devices, env)"),
        ("[[runner]]\nname = 'a'", "runner: given"),
        ("[[runnerz]]\nname = 'a'", "runnerz: there is no such section; did you mean runner"),
        (PAIR + PAIR, 'runners[1].name: given "pair"; allowed is a name that no other process'),
        ("[[runners]]\nname = 'logs'", 'runners[0].name: given "logs"; allowed is a name'),
        (
            "[proxy]\nprocesses = 2\n[[runners]]\nname = 'proxy-1'",
            'runners[0].name: given "proxy-1"; allowed is a name',
        ),
        (PAIR + PAIR.replace("pair", "b"), "runners[1].devices: given"),
        ("[[runners]]\nname = 'a'\ndevices = ['G', 'G']", "each GPU once, and in one runner only"),
        (PAIR + "env = { CUDA_VISIBLE_DEVICES = '0' }", "runners[0].env.CUDA_VISIBLE_DEVICES"),
        ("[[runners]]\nname = 'a'\nenv = { LLAMA_API_KEY = 'x' }", "any variable but ours"),
        ("[[runners]]\nname = 'a'\nenv = { LLAMA_PROXY_HOME = 'x' }", "any variable but ours"),
        ("[[runners]]\nname = 'a'\nenv = { 'A=B' = 'x' }", "a variable without ="),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(tmp_path: Path, toml: str, expected: str) -> None:
    message = refusal(tmp_path, toml)
    assert expected in message
    assert message.startswith(f"{tmp_path / 'config.toml'}: ")


def test_what_does_not_fit_in_the_variable_is_named_after_it(tmp_path: Path) -> None:
    for text in ("amd", '{"name": "amd"}', "[3]", '[{"name": "logs"}]'):
        message = refusal(tmp_path, "", {"LLAMA_PROXY_RUNNERS": text})
        assert message.startswith("LLAMA_PROXY_RUNNERS"), message


def test_each_named_runner_is_a_program_and_no_other(tmp_path: Path) -> None:
    settings = read(tmp_path, PAIR + AMD)
    programs = stack_programs(settings, [gpu(0), gpu(1), gpu(2)])
    runners = [program for program in programs if program.module == "workers.runner"]
    assert [(program.name, program.arguments) for program in runners] == [
        ("pair", ("--devices", "GPU-0,GPU-1")),
        ("amd", ()),
    ]


def test_a_gpu_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    settings = read(tmp_path, PAIR + AMD)
    with pytest.raises(ConfigInvalid) as caught:
        stack_programs(settings, [gpu(0), gpu(2)])
    assert caught.value.message == (
        "runners[0].devices: GPU-1 of pair is not there; GPUs that are: GPU-0 (H200), GPU-2 (H200)"
    )
    assert missing_devices(settings, []).splitlines() == [
        "runners[0].devices: GPU-0 of pair is not there; GPUs that are: none",
        "runners[0].devices: GPU-1 of pair is not there; GPUs that are: none",
    ]
