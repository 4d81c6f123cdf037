"""`[[runners]]` on a whole stack."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.support.fake_llama_server import write_fake_llama_server
from tests.support.ports import free_ports
from tests.support.stack import environment_of, run_cli, running_stack


def test_the_environment_of_a_named_runner_reaches_its_engines(tmp_path: Path) -> None:
    runners = [{"name": "amd", "env": {"HIP_VISIBLE_DEVICES": "1", "HSA_XNACK": "a b"}}]
    settings = {
        "LLAMA__SERVER_PATH": write_fake_llama_server(tmp_path),
        "RUNNERS": json.dumps(runners),
    }
    with running_stack(tmp_path, settings) as stack:
        assert stack.cli("load", "babble-demo").returncode == 0
        engine = environment_of(stack.engines()[0])
        status = json.loads(stack.cli("status", "--json").stdout)
    assert (engine["HIP_VISIBLE_DEVICES"], engine["HSA_XNACK"]) == ("1", "a b")
    # HIP heeds this one, too: set to nothing, it would hide every GPU.
    assert engine.get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")
    runners_shown = [row["name"] for row in status["processes"] if row["kind"] == "runner"]
    assert [name.partition("@")[0] for name in runners_shown] == ["amd"]


def test_a_gpu_that_is_not_there_ends_up_before_anything_starts(tmp_path: Path) -> None:
    gateway, proxy = free_ports(2)
    environment = {
        "LLAMA_PROXY_RUNNERS": json.dumps([{"name": "big", "devices": ["GPU-none"]}]),
        "LLAMA_PROXY_SERVER__PORT": str(gateway),
        "LLAMA_PROXY_LLAMA__PORT": str(proxy),
    }
    home = tmp_path / "home"
    told = run_cli("up", home=home, environment=environment)
    assert told.returncode == 1
    assert "runners[0].devices: GPU-none of big is not there; GPUs that are: " in told.stderr
    assert not (home / "supervisord.conf").exists()
    doctor = run_cli("doctor", home=home, environment=environment)
    assert doctor.returncode == 1
    assert "GPU-none of big is not there" in " ".join(doctor.stdout.split())
