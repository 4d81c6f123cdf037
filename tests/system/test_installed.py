"""The wheel, installed into an empty environment elsewhere, does the main job."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.stack import belonging_to
from tests.support.waiting import wait_for
from tests.support.wheel import build_wheel, install


def test_an_installed_wheel_runs_anywhere(short_path: Path) -> None:
    programs = install(build_wheel(short_path), short_path / "env")
    elsewhere = short_path / "elsewhere"
    elsewhere.mkdir()
    home = short_path / "state" / "llama-proxy"
    gateway_port, proxy_port = free_ports(2)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(short_path),
        "XDG_STATE_HOME": str(short_path / "state"),
        "LLAMA_PROXY_SERVER__PORT": str(gateway_port),
        "LLAMA_PROXY_LLAMA__PORT": str(proxy_port),
        "LLAMA_PROXY_LLAMA__FLAGS": '{"threads": "1"}',
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [programs / command[0], *command[1:]],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import common, deploy, gateway, workers; print(common.__file__)"
    assert str(short_path) in run("python", "-c", code)
    said = short_path / "up.out"
    with said.open("wb") as output:
        up = subprocess.Popen(
            [programs / "llama-proxy", "up"],
            cwd=elsewhere,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: up.poll() is not None or len(said.read_text().splitlines()) >= 5, 60)
        assert up.poll() is None, said.read_text()
        assert str(home) in said.read_text()
        run("llama-proxy", "load", "babble-demo")
        assert run("llama-proxy", "chat", "babble-demo", "hello").strip()
        run("llama-proxy", "down")
        assert up.wait(30) == 0
    finally:
        if up.poll() is None:
            up.send_signal(signal.SIGINT)
            up.wait(30)
    assert belonging_to(home) == []
