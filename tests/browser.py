"""Opens a page in headless Chromium and asks it what it sees."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
_PROBE = """<script>
window.seen={errors:[]};
addEventListener('error',e=>seen.errors.push(String(e.message||e.target.src)),true);
</script>"""
_TELL = """<script>
addEventListener('load',()=>{const all=[...document.images];seen.images=all.length;
seen.missing=all.filter(i=>!i.complete||!i.naturalWidth).length;
seen.drawn=[...document.querySelectorAll('svg')].filter(s=>s.getBoundingClientRect().width>20).length;
seen.wide=document.documentElement.scrollWidth;
const p=document.createElement('pre');p.id='seen';p.textContent=JSON.stringify(seen);
document.body.append(p);});
</script>"""


def opened(page: Path, folder: Path) -> tuple[dict[str, Any], str]:
    """What a browser sees of a page (images, missing ones, drawn plots, errors), and what it logged.

    Args:
        page: the file.
        folder: for a copy of it with the questions, and the browser's profile.
    """
    assert CHROMIUM is not None
    asked = folder / "asked.html"
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head>{_PROBE}", 1)
    asked.write_text(text.replace("</body>", f"{_TELL}</body>", 1), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    flags += [f"--user-data-dir={folder / 'profile'}", "--window-size=1300,2000"]
    command = [CHROMIUM, *flags, asked.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = re.search(r'<pre id="seen">(.*?)</pre>', ran.stdout, re.DOTALL)
    assert found is not None, ran.stdout[-2000:] + ran.stderr[-2000:]
    seen: dict[str, Any] = json.loads(unescape(found[1]))
    return seen, "\n".join(line for line in ran.stderr.splitlines() if "CONSOLE" in line)
