"""The dashboard's own tests, and how much a browser has to load before it shows anything."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys

from deploy.api_types.module import module
from tests.support.repository import ROOT

DASHBOARD = ROOT / "gateway" / "dashboard"
FIRST_LOAD_BYTES = 150_000


def test_stores_and_pure_functions() -> None:
    done = subprocess.run(
        [sys.executable, "hatch_build.py", "node", "node_modules/vitest/vitest.mjs", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_loaded_first_is_small() -> None:
    dist = DASHBOARD / "dist"
    page = (dist / "index.html").read_text()
    named = re.findall(r'(?:src|href)="\./([^"]+)"', page)
    assert any(name.endswith(".js") for name in named)
    sizes = {name: len(gzip.compress((dist / name).read_bytes(), 9)) for name in named}
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES, sizes


def test_nothing_in_the_build_leads_off_this_machine() -> None:
    page = (DASHBOARD / "dist" / "index.html").read_text()
    styles = [path.read_text() for path in DASHBOARD.glob("dist/assets/*.css")]
    assert styles
    for text in (page, *styles):
        assert (
            re.findall(r"""(?:src=|href=|url\(|@import )["']?(?:https?:)?//[^"')]*""", text) == []
        )
        assert "<script>" not in text
        assert "style=" not in text


def test_the_types_are_those_of_the_contract() -> None:
    text = module()
    assert '"models:load": { request: LoadModel; reply: LoadedModel };' in text
    assert '"models:load": "operator",' in text
    # A sender may leave out what has a default; in a reply it is there.
    assert "  ttlSeconds?: number | null;" in text
    assert "  memoryUsage: number | null;" in text
    assert "  reason?: string;" in text
    assert "models:begin-load" not in text
