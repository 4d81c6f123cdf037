"""The CLI as a user runs it, against stand-ins for the gateway and the proxy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.home import Home
from common.settings import Settings
from tests.support.ports import free_ports
from tests.support.stand_in_openai import StandInOpenAi, events, stand_in_openai
from tests.support.stand_in_stack import CHECKOUT, plain_environment
from tests.support.terminal import END_OF_INPUT, in_terminal
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Cli:
    """`llama-proxy` for one home."""

    home: Path
    server_port: int
    llama_port: int

    def gateway_listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.server_port)) == 0

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "deploy.cli", *arguments, "--home", str(self.home)]

    def run(self, *arguments: str, piped: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=CHECKOUT,
            env=plain_environment(),
            input=piped,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=CHECKOUT,
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def cli() -> Iterator[Cli]:
    with tempfile.TemporaryDirectory(prefix="cli-") as directory:
        home = Home(Path(directory))
        server_port, llama_port = free_ports(2)
        home.config_file.write_text(
            f"[server]\nport = {server_port}\n[llama]\nport = {llama_port}\nqueueTimeout = 1\n"
        )
        home.prepare(Settings())
        yield Cli(home.root, server_port, llama_port)


@pytest.fixture
def gateway(cli: Cli) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.stand_in_gateway", "--home", str(cli.home)],
        cwd=CHECKOUT,
        env=plain_environment(),
    ) as process:
        wait_for(cli.gateway_listens)
        yield process
        process.kill()


@pytest.fixture
def openai(cli: Cli) -> Iterator[StandInOpenAi]:
    with stand_in_openai(cli.llama_port) as server:
        yield server


@pytest.mark.usefixtures("gateway")
class TestWithAGateway:
    def test_status_shows_processes_and_models(self, cli: Cli) -> None:
        shown = cli.run("status")
        assert shown.returncode == 0
        lines = [line.split() for line in shown.stdout.splitlines()]
        assert lines[0] == ["PROCESS", "KIND", "HOST", "PID", "STATUS", "SINCE"]
        assert lines[1][:2] == ["gateway", "gateway"]
        assert lines[1][4] == "running"
        assert lines[-1] == ["tiny", "4.6", "GB", "unloaded"]

    @pytest.mark.parametrize(("command", "key"), [("status", "processes"), ("models", "models")])
    def test_json_is_what_the_api_says(self, cli: Cli, command: str, key: str) -> None:
        shown = cli.run(command, "--json")
        assert shown.returncode == 0
        (first,) = json.loads(shown.stdout)[key]
        assert first["status"] in ("running", "unloaded")
        assert "startedAt" in first or first["size"] == 4_580_140_000

    def test_load_and_unload_say_what_happened(self, cli: Cli) -> None:
        loaded = cli.run("load", "tiny")
        assert loaded.returncode == 0
        assert loaded.stdout.startswith("tiny is loaded: 6.4 GB of memory, ready after ")
        unloaded = cli.run("unload", "tiny")
        assert (unloaded.returncode, unloaded.stdout) == (0, "tiny is unloaded\n")

    def test_load_shows_a_bar_to_somebody_who_watches(self, cli: Cli) -> None:
        shown = in_terminal(cli.command("load", "tiny"))
        assert "tiny" in shown
        assert "━" in shown
        assert "tiny is loaded" in shown

    def test_a_refusal_is_one_line_with_its_code(self, cli: Cli) -> None:
        refused = cli.run("load", "nothing")
        assert refused.returncode == 1
        assert refused.stderr == ("llama-proxy: MODEL_NOT_FOUND: there is no model 'nothing'\n")

    def test_ctrl_c_leaves_a_load_with_advice(self, cli: Cli) -> None:
        with cli.start("load", "slow") as loading:
            wait_for((cli.home / "asked").exists)
            loading.send_signal(signal.SIGINT)
            _, errors = loading.communicate(timeout=10)
        assert loading.returncode == 130
        assert errors.splitlines() == [
            "llama-proxy: not waiting any longer; `llama-proxy unload slow` cancels the load"
        ]

    def test_a_gateway_that_goes_away_ends_the_wait(self, cli: Cli) -> None:
        ended = cli.run("load", "dying")
        assert ended.returncode == 1
        assert "went away during models:load" in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_a_reader_that_leaves_is_no_error_worth_a_word(self, cli: Cli) -> None:
        read_end, write_end = os.pipe()
        os.close(read_end)
        with os.fdopen(write_end, "w") as nobody_reads:
            ended = subprocess.run(
                cli.command("models"),
                env=plain_environment(),
                cwd=CHECKOUT,
                stdout=nobody_reads,
                stderr=subprocess.PIPE,
                timeout=30,
                check=False,
            )
        assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize("command", [["status"], ["models"], ["load", "x"], ["chat", "x", "hi"]])
def test_without_a_stack_the_exit_code_says_so(cli: Cli, command: list[str]) -> None:
    ended = cli.run(*command)
    assert ended.returncode == 3
    (line,) = ended.stderr.splitlines()
    assert "start one with `llama-proxy up`" in line


def test_down_of_nothing_is_fine(cli: Cli) -> None:
    ended = cli.run("down")
    assert (ended.returncode, ended.stdout) == (0, f"nothing is running in {cli.home}\n")


def test_down_does_not_need_a_right_configuration(cli: Cli) -> None:
    (cli.home / "config.toml").write_text("nonsense")
    assert cli.run("down").returncode == 0


@pytest.mark.parametrize(
    "arguments", [[], ["load"], ["nonsense"], ["chat", "x", "y", "--max-tokens", "0"]]
)
def test_wrong_usage_is_exit_code_2(cli: Cli, arguments: list[str]) -> None:
    ended = cli.run(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: llama-proxy")


def test_render_prints_the_programs_of_this_home(cli: Cli) -> None:
    programs = cli.run("render")
    assert programs.returncode == 0
    assert programs.stdout.startswith("[program:backplane]\ncommand=")
    assert "[supervisord]" not in programs.stdout
    assert "[supervisord]" in cli.run("render", "--full").stdout


def test_render_passes_on_the_file_that_was_named(cli: Cli) -> None:
    named = cli.home / "other.toml"
    named.write_text("[llama]\nport = 9999\n")
    assert f"--config {named}" in cli.run("render", "--config", str(named)).stdout


def test_doctor_ends_with_1_if_something_fails(cli: Cli) -> None:
    (cli.home / "config.toml").write_text("[llama]\nserverPath = '/no/such/llama-server'\n")
    ended = cli.run("doctor")
    assert ended.returncode == 1
    first, second, *_ = ended.stdout.splitlines()
    assert first.split()[:2] == ["fail", "engine"]
    assert "there is no such file" in first
    assert "→ install" in second


class TestChat:
    def test_an_answer_is_streamed_to_stdout(self, cli: Cli, openai: StandInOpenAi) -> None:
        openai.say({"role": "assistant"}, {"content": "Hel"}, {"content": "lo [b]"})
        ended = cli.run("chat", "tiny", "hi", "--max-tokens", "5")
        assert (ended.returncode, ended.stdout) == (0, "Hello [b]\n")
        assert openai.requests == [
            {
                "model": "tiny",
                "stream": True,
                "max_tokens": 5,
                "messages": [{"role": "user", "content": "hi"}],
            }
        ]

    def test_what_is_piped_in_is_the_prompt(self, cli: Cli, openai: StandInOpenAi) -> None:
        openai.say({"content": "yes"})
        assert cli.run("chat", "tiny", piped="two\nlines\n").stdout == "yes\n"
        assert openai.requests[0]["messages"][0]["content"] == "two\nlines\n"

    def test_an_empty_prompt_is_wrong_usage(self, cli: Cli) -> None:
        assert cli.run("chat", "tiny", piped=" \n").returncode == 2

    def test_thoughts_are_left_out_of_a_pipe(self, cli: Cli, openai: StandInOpenAi) -> None:
        openai.say({"reasoning_content": "hmm"}, {"content": "42"})
        assert cli.run("chat", "tiny", "why?").stdout == "42\n"

    @pytest.mark.parametrize(
        ("reply", "said"),
        [
            ((404, b'{"error": {"message": "no model x", "code": 404}}'), "no model x"),
            ((502, b"<html>bad gateway"), "the proxy answers 502: <html>bad gateway"),
            ((200, events([{"error": {"message": "the engine died"}}])), "the engine died"),
            ((200, events([{"choices": []}])), "ended before it was complete"),
            ((200, b"data: {nonsense\n\n"), "the answer broke off"),
        ],
    )
    def test_a_failure_is_one_line(
        self, cli: Cli, openai: StandInOpenAi, reply: tuple[int, bytes], said: str
    ) -> None:
        openai.reply = reply
        ended = cli.run("chat", "tiny", "hi")
        assert ended.returncode == 1
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr

    def test_a_conversation_remembers(self, cli: Cli, openai: StandInOpenAi) -> None:
        openai.say({"content": "first"})
        shown = in_terminal(cli.command("chat", "tiny"), b"one\n", b"two\n", END_OF_INPUT)
        assert shown.count("first") == 2
        assert [message["content"] for message in openai.requests[1]["messages"]] == [
            "one",
            "first",
            "two",
        ]
