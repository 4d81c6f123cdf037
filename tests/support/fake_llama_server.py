"""A stand-in for llama-server that does on demand what a real engine cannot be told to do.

It speaks enough of llama-server's command line and HTTP for whatever drives one. How it behaves
comes as JSON from the variable FAKE_LLAMA, or from the model's file name: everything after an `@`,
as in `qwen@load_s=2,ignore_term=true.gguf`. `write_fake_llama_server` makes a program of it.
Only the standard library is used, so that it starts fast.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VARIABLE = "FAKE_LLAMA"
_STARTED = time.monotonic()


@dataclass(frozen=True)
class Behaviour:
    """What is out of the ordinary; by default nothing is."""

    load_s: float = 0.0
    """How long /health says 503."""
    crash_at_load: str = ""
    """Print this on stderr instead of becoming ready, and exit with `exit_code`."""
    exit_code: int = 1
    crash_after_chunks: int = -1
    """Die of SIGKILL after so many chunks of a stream."""
    ignore_term: bool = False
    log_lines_per_s: int = 0
    hang_after_ready: bool = False
    """Accept requests after the first successful /health, and never answer."""
    chunks: int = 10
    """Length of an answer, unless the request's max_tokens is smaller."""
    interval_ms: float = 0.0
    """Pause before each chunk."""
    endless: bool = False
    """Stream until the client goes away, whatever max_tokens says."""


def write_fake_llama_server(directory: Path, name: str = "llama-server", **behaviour: Any) -> Path:
    """Write an executable llama-server that behaves like `Behaviour(**behaviour)`.

    A FAKE_LLAMA in its environment wins.
    """
    chosen = json.dumps(dataclasses.asdict(Behaviour(**behaviour)))
    path = directory / name
    # Not python in the shebang: its path may hold spaces, or be too long for the kernel.
    path.write_text(
        "#!/bin/sh\n"
        f'[ -n "${VARIABLE}" ] || export {VARIABLE}={shlex.quote(chosen)}\n'
        f'exec {shlex.quote(sys.executable)} -I -S {shlex.quote(__file__)} "$@"\n'
    )
    path.chmod(0o755)
    return path


HELP = """\
----- common params -----

-h,    --help, --usage                  show these lines and end
--version                               show what it is and end
-t,    --threads N                      CPU threads that it pretends to use (default: -1)
                                        (env: LLAMA_ARG_THREADS)
-c,    --ctx-size N                     length of the context (default: 0, 0 = the model's)
                                        (env: LLAMA_ARG_CTX_SIZE)
-b,    --batch-size N                   tokens at once (default: 2048)
-ub,   --ubatch-size N                  tokens really at once (default: 512)
-ctk,  --cache-type-k TYPE              how keys are kept
                                        allowed values: f16, q8_0
                                        (default: f16)
-fa,   --flash-attn [on|off|auto]       an attention that is faster ('on', 'off' or 'auto',
                                        default: 'auto')
                                        (env: LLAMA_ARG_FLASH_ATTN)
-ngl,  --gpu-layers, --n-gpu-layers N   layers on the GPU: a number, 'auto' or 'all' (default: auto)
                                        (env: LLAMA_ARG_N_GPU_LAYERS)
-m,    --model FNAME                    the file, whose name says how it behaves
                                        (env: LLAMA_ARG_MODEL)


----- sampling params -----

--temp, --temperature N                 heat of the sampling (default: 0.80)


----- speculative params -----

--draft, --draft-max N                  the argument has been removed. use --spec-draft-n-max


----- example-specific params -----

-a,    --alias STRING                   another name of the model
-np,   --parallel N                     slots (default: -1, -1 = auto)
--cache-reuse N                         smallest piece that is reused (default: 0)
-cram, --cache-ram N                    MiB for old prompts (default: 8192, 0 = none)
-mm,   --mmproj FILE                    a projector, which it does not read
--host HOST                             where it listens (default: 127.0.0.1)
--port PORT                             and on which port (default: 8080)
--jinja, --no-jinja                     templates for chats (default: enabled)
--metrics                               figures at /metrics (default: disabled)
--slots, --no-slots                     slots at /slots (default: enabled)
"""


def main() -> int:
    if {"-h", "--help", "--usage"} & set(sys.argv):
        sys.stdout.write(HELP)
        return 0
    if "--version" in sys.argv:
        sys.stderr.write("version: 0.0.1 (fake)\n")
        return 0
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("-a", "--alias")
    parser.add_argument("-np", "--parallel", type=int, default=0)
    arguments, _ = parser.parse_known_args()
    behaviour = _behaviour(Path(arguments.model))
    if behaviour.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _log("I srv  llama_server: initializing ...")
    try:
        server = _Server(arguments, behaviour)
    except OSError:
        _log(
            f"E srv         start: couldn't bind HTTP server socket, hostname: {arguments.host}, "
            f"port: {arguments.port}"
        )
        return 1
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _log(f"I srv    load_model: loading model '{arguments.model}'")
    time.sleep(behaviour.load_s)
    if behaviour.crash_at_load:
        sys.stderr.write(behaviour.crash_at_load + "\n")
        return behaviour.exit_code
    server.loaded = True
    _log("I srv  llama_server: model loaded")
    if not behaviour.ignore_term:
        signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    for number in _line_numbers(behaviour.log_lines_per_s):
        _log(f"I srv         flood: line {number} of many, as long as llama.cpp's lines often are")
    return 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, arguments: argparse.Namespace, behaviour: Behaviour) -> None:
        super().__init__((arguments.host, arguments.port), _Handler)
        self.model = arguments.alias or Path(arguments.model).stem
        self.behaviour = behaviour
        self.slots = max(arguments.parallel, 0)
        """Without --parallel it does not tell."""
        self.api_keys = [key for key in os.environ.get("LLAMA_API_KEY", "").split(",") if key]
        self.loaded = False
        self.seen_ready = False
        self.busy = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_form = self.headers.get("Content-Type", "").startswith("multipart/")
        self._answer({} if is_form else json.loads(body or b"{}"))

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged, as llama-server does not by default."""

    def _answer(self, request: dict[str, Any] | None) -> None:
        server = self.server
        if not server.loaded:
            return self._error(503, "Loading model", "unavailable_error")
        path = self.path.partition("?")[0].removeprefix("/v1")
        if path == "/health" and not server.seen_ready:
            server.seen_ready = True
            return self._json({"status": "ok"})
        if server.behaviour.hang_after_ready:
            threading.Event().wait()
        if path == "/health":
            return self._json({"status": "ok"})
        if server.api_keys and not self._authorized():
            return self._error(401, "Invalid API Key", "authentication_error")
        if request is None:
            return self._get(path)
        return self._post(path, request)

    def _authorized(self) -> bool:
        shown = self.headers.get("X-Api-Key") or self.headers.get("Authorization") or ""
        return shown.removeprefix("Bearer ") in self.server.api_keys

    def _get(self, path: str) -> None:
        if path == "/models":
            entry = {"id": self.server.model, "object": "model", "owned_by": "llamacpp"}
            return self._json({"object": "list", "data": [entry]})
        if path == "/slots":
            return self._json([{"id": 0, "n_ctx": 2048, "is_processing": self.server.busy > 0}])
        if path == "/props" and self.server.slots:
            return self._json({"total_slots": self.server.slots})
        if path == "/metrics":
            return self._send(
                200, "text/plain", f"llamacpp:requests_processing {self.server.busy}\n".encode()
            )
        return self._error(404, "File Not Found", "not_found_error")

    def _post(self, path: str, request: dict[str, Any]) -> None:
        self.server.busy += 1
        try:
            if path == "/embeddings":
                data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25, -1.0]}]
                usage = {"prompt_tokens": 1, "total_tokens": 1}
                return self._json({"object": "list", "data": data, "usage": usage})
            if path == "/audio/transcriptions":
                return self._error(501, "This model does not take audio", "not_supported_error")
            if path not in ("/chat/completions", "/completions"):
                return self._error(404, "File Not Found", "not_found_error")
            if request.get("stream"):
                return self._stream(path, request)
            words = list(self._words(request))
            answer = self._choice(path, "".join(words), "stop", whole=True)
            return self._json(answer | {"usage": _usage(len(words))})
        finally:
            self.server.busy -= 1

    def _stream(self, path: str, request: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        count = 0
        for word in self._words(request):
            self._chunk(json.dumps(self._choice(path, word, None)))
            count += 1
            if count == self.server.behaviour.crash_after_chunks:
                os.kill(os.getpid(), signal.SIGKILL)
        last = self._choice(path, "", "stop")
        last["timings"] = {"prompt_n": 1, "prompt_ms": 1.0, "predicted_n": count}
        self._chunk(json.dumps(last))
        if (request.get("stream_options") or {}).get("include_usage"):
            self._chunk(json.dumps(last | {"choices": [], "usage": _usage(count)}))
        self._chunk("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _words(self, request: dict[str, Any]) -> Iterator[str]:
        behaviour = self.server.behaviour
        wanted = min(request.get("max_tokens") or behaviour.chunks, behaviour.chunks)
        number = 0
        while behaviour.endless or number < wanted:
            time.sleep(behaviour.interval_ms / 1000)
            yield f"word{number} "
            number += 1

    def _choice(
        self, path: str, text: str, finish: str | None, *, whole: bool = False
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        if path == "/completions":
            kind, choice["text"] = "text_completion", text
        elif whole:
            kind, choice["message"] = "chat.completion", {"role": "assistant", "content": text}
        else:
            kind, choice["delta"] = "chat.completion.chunk", {"content": text} if text else {}
        return {"id": "fake-1", "object": kind, "model": self.server.model, "choices": [choice]}

    def _chunk(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))

    def _error(self, status: int, message: str, kind: str) -> None:
        error = {"message": message, "type": kind, "code": status}
        self._send(status, "application/json", json.dumps({"error": error}).encode())

    def _json(self, value: Any) -> None:
        self._send(200, "application/json", json.dumps(value).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _usage(count: int) -> dict[str, int]:
    return {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": count + 1}


def _behaviour(model: Path) -> Behaviour:
    given = json.loads(os.environ.get(VARIABLE) or "{}")
    for item in filter(None, model.stem.partition("@")[2].split(",")):
        key, _, value = item.partition("=")
        given[key] = json.loads(value)
    known = {field.name for field in dataclasses.fields(Behaviour)}
    return Behaviour(**{key: value for key, value in given.items() if key in known})


def _line_numbers(lines_per_s: int) -> Iterator[int]:
    """Numbers to print at this rate, for ever; without a rate, wait for a signal."""
    if not lines_per_s:
        while True:
            signal.pause()
    number, started = 0, time.monotonic()
    while True:
        due = int((time.monotonic() - started) * lines_per_s)
        yield from range(number, due)
        number = max(number, due)
        time.sleep(0.005)


def _log(text: str) -> None:
    us = int((time.monotonic() - _STARTED) * 1e6)
    minutes, us = divmod(us, 60_000_000)
    sys.stderr.write(
        f"{minutes}.{us // 1_000_000:02}.{us // 1000 % 1000:03}.{us % 1000:03} {text}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
