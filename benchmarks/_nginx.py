"""nginx as a reverse proxy before the engine: what the best of its kind needs on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

# One worker against one proxy process. It keeps its connections to the engine, as we do, holds a
# prompt of 1 MiB in memory, as we do, and passes a stream on as it comes.
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 2m;
    keepalive_requests 100000000;
    upstream engine {{
        server 127.0.0.1:{engine_port};
        keepalive 32;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def nginx_command(directory: Path, port: int, engine_port: int) -> list[str]:
    """Write its configuration into `directory`; the command that serves in the foreground."""
    file = directory / "nginx.conf"
    file.write_text(
        _CONFIGURATION.format(directory=directory, port=port, engine_port=engine_port), "utf-8"
    )
    # Debian's users have no /usr/sbin on their path.
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return [program, "-p", str(directory), "-e", "stderr", "-c", str(file)]
