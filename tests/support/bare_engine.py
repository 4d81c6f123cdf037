"""The engine of the xllamacpp wheel in a child process, with nothing of ours in between.

For tests of model files: `ask` starts an engine on a file, sends it requests, and ends it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

Request = tuple[str, dict[str, Any]]
"""The path and the JSON body of a POST."""


def ask(model: Path, requests: list[Request], mode: str = "chat") -> list[Any]:
    """The replies to `requests`, in order, of an engine that serves `model`.

    `mode` is chat, embedding or reranking. An engine that cannot load the model fails the test
    with what it said.
    """
    child = subprocess.run(
        [sys.executable, __file__, model, mode],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-4000:]
    replies: list[Any] = json.loads(child.stdout)
    return replies


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(  # noqa: S310 (the engine's own address)
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)


def _serve(model: str, mode: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    if mode != "chat":
        params.embedding = True
    if mode == "reranking":
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    server = xllamacpp.Server(params)
    requests: list[Request] = json.load(sys.stdin)
    replies = [_post(server.listening_address + path, body) for path, body in requests]
    sys.stdout.write(json.dumps(replies))
    sys.stdout.flush()
    os._exit(0)  # the engine's threads need not be joined, as the process is gone anyway


if __name__ == "__main__":
    _serve(*sys.argv[1:])
