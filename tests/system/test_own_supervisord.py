"""What `llama-proxy render` prints, in a supervisord that belongs to somebody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from common.api import models, system
from common.errors import ProxyError
from deploy.client import Client
from deploy.demo_model import write_demo_model
from deploy.failure import CommandFailed
from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.ports import free_ports
from tests.support.stack import belonging_to, environment_of, run_cli
from tests.support.waiting import wait_for

PROGRAMS = {"backplane", "controller", "logs", "metrics", "runner-cpu", "gateway", "proxy"}
MODEL = "one"


@dataclass
class Site:
    """A home whose programs are included by a supervisord of its own."""

    directory: Path
    gateway_url: str

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def conf(self) -> Path:
        return self.directory / "supervisord.conf"

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_cli(*arguments, home=self.home, environment={})

    def ctl(self, *words: str) -> str:
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.conf), *words]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def engines(self) -> set[int]:
        return {
            process.pid
            for process in belonging_to(self.home)
            if "LLAMA_PROXY_ENGINE" in environment_of(process)
        }

    def present(self) -> set[str]:
        try:
            with Client(self.gateway_url) as client:
                shown = client.call(system.STATUS, system.GetStatus(), 5).processes
        except (CommandFailed, ProxyError):
            return set()
        return {p.name.partition("@")[0] for p in shown if p.status == "running"}

    def status(self) -> str:
        """The model's status; empty while no gateway answers."""
        try:
            with Client(self.gateway_url) as client:
                shown = client.call(models.LIST, models.ListModels(), 5).models
        except (CommandFailed, ProxyError):
            return ""
        return next((str(model.status) for model in shown if model.id == MODEL), "")

    def right(self) -> bool:
        return self.present() == PROGRAMS and self.status() == "loaded"

    @contextmanager
    def supervisord(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run it for the body; it may be killed there."""
        running = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(self.conf)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(60)
            finally:
                running.kill()


def one_has_ended(before: set[int], home: Path) -> bool:
    return not before <= {process.pid for process in belonging_to(home)}


@pytest.fixture
def site(short_path: Path) -> Iterator[Site]:
    gateway, proxy = free_ports(2)
    site = Site(short_path, f"http://127.0.0.1:{gateway}")
    (site.home / "models").mkdir(parents=True)
    write_demo_model(site.home / "models" / f"{MODEL}.gguf")
    engine = write_fake_llama_server(short_path)
    (site.home / "config.toml").write_text(
        f"[server]\nport = {gateway}\n"
        f"[llama]\nport = {proxy}\nserverPath = {json.dumps(str(engine))}\n"
        "drainTimeoutSeconds = 1\n"
        "[runner]\nstopGraceSeconds = 1\n"
    )
    rendered = site.cli("render")
    assert rendered.returncode == 0, rendered.stderr
    (short_path / "llama-proxy.ini").write_text(rendered.stdout)
    site.conf.write_text(
        f"[supervisord]\nlogfile={short_path}/supervisord.log\npidfile={short_path}/pid\n"
        f"[unix_http_server]\nfile={short_path}/s.sock\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[supervisorctl]\nserverurl=unix://{short_path}/s.sock\n"
        f"[include]\nfiles={short_path}/*.ini\n"
    )
    try:
        yield site
    finally:
        left = belonging_to(site.home)
        for process in left:
            process.kill()
        psutil.wait_procs(left, 5)


def test_rendered_programs_live_in_a_supervisord_of_somebody_else(site: Site) -> None:
    with site.supervisord():
        wait_for(lambda: site.present() == PROGRAMS, 60)
        # supervisord itself believes in a program only after a second.
        wait_for(lambda: all(" RUNNING " in line for line in site.ctl("status").splitlines()))
        assert site.cli("load", MODEL).returncode == 0
        engines = site.engines()
        assert len(engines) == 1

        # Who does not own engines leaves them alone; so does a runner that hands over.
        for words in (("restart", "gateway", "controller"), ("signal", "USR1", "runner-cpu")):
            before = {p.pid for p in belonging_to(site.home)}
            site.ctl(*words)
            wait_for(partial(one_has_ended, before, site.home))
            wait_for(site.right)
            assert site.engines() == engines

        # Our own command finds that supervisord by itself.
        before = {p.pid for p in belonging_to(site.home)}
        asked = site.cli("restart", "runner-cpu")
        assert asked.returncode == 0, asked.stderr
        wait_for(partial(one_has_ended, before, site.home))
        wait_for(site.right)
        assert site.engines() == engines

        # Neither `up` nor `down` meddles with what another supervisord runs.
        for command in ("up", "down"):
            refused = site.cli(command)
            assert refused.returncode == 1
            assert "run under another supervisord" in refused.stderr
        assert site.right()
        assert site.engines() == engines

        # A runner that is stopped stops its engines.
        site.ctl("stop", "runner-cpu")
        assert site.engines() == set()
        site.ctl("start", "runner-cpu")
        wait_for(lambda: site.present() == PROGRAMS)
        assert site.cli("load", MODEL).returncode == 0
    assert belonging_to(site.home) == []


def test_engines_outlive_a_supervisord_of_somebody_else(site: Site) -> None:
    with site.supervisord() as first:
        wait_for(lambda: site.present() == PROGRAMS, 60)
        assert site.cli("load", MODEL).returncode == 0
        engines = site.engines()
        first.kill()
        first.wait()
        # Nobody but the processes themselves can notice.
        wait_for(lambda: {p.pid for p in belonging_to(site.home)} == engines, 5)
    with site.supervisord():
        wait_for(site.right, 60)
        assert site.engines() == engines
    assert belonging_to(site.home) == []


def test_the_programs_run_as_the_user_who_rendered_them(site: Site) -> None:
    uid = os.getuid()
    with site.supervisord():
        wait_for(lambda: site.present() == PROGRAMS, 60)
        assert {process.uids().real for process in belonging_to(site.home)} == {uid}
