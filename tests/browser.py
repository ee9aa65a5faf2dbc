"""A headless Chromium that loads a page, says what its console heard, and takes a picture. None where there is none."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)


class Seen(NamedTuple):
    dom: str  # after loading
    console: list[str]


def _chromium(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        "--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr", "--v=0", *args,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def look(page: Path, folder: Path, *options: str) -> Seen:
    """The page as the browser has it, and the lines that it wrote to its console."""
    done = _chromium(folder, *options, "--dump-dom", page.as_uri())
    assert done.returncode == 0, done.stderr[-2000:]
    return Seen(done.stdout, re.findall(r'CONSOLE[^"]*"(.*?)", source', done.stderr))


def picture(page: Path, target: Path, folder: Path, *options: str, width: int = 1000, height: int = 3200) -> Path:
    """A PNG of the page in a window of that size."""
    size = f"--window-size={width},{height}"
    done = _chromium(folder, *options, size, f"--screenshot={target}", page.as_uri())
    assert done.returncode == 0 and target.exists(), done.stderr[-2000:]
    return target


def pdf(page: Path, target: Path, folder: Path) -> bytes:
    """The page as it is printed."""
    done = _chromium(folder, "--no-pdf-header-footer", f"--print-to-pdf={target}", page.as_uri())
    assert done.returncode == 0 and target.exists(), done.stderr[-2000:]
    return target.read_bytes()


DARK = "--blink-settings=preferredColorScheme=0"  # in Chromium's own enumeration dark is 0, light 1

# Written into a copy of the page: what only a browser knows.
_MEASURE = """<script>
const box = e => e.getBoundingClientRect();
const figures = [...document.querySelectorAll("svg")];
const cut = figures.flatMap(s => [...s.querySelectorAll("text")].filter(t => {
  const a = box(s), b = box(t);
  return b.width && (b.left < a.left - 1 || b.right > a.right + 1 || b.top < a.top - 1 || b.bottom > a.bottom + 1);
}).map(t => t.textContent));
document.body.setAttribute("data-measured", JSON.stringify({
  figures: figures.map(s => [box(s).width, box(s).height]), cut,
  over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
}));
</script>"""


def measured(page: Path, folder: Path, *options: str, width: int) -> tuple[dict[str, Any], list[str]]:
    """Sizes of the figures, words that stick out of them, how far the page is too wide, its colours; and the console."""
    copy = folder / f"measured-{page.name}"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{_MEASURE}</body>"), encoding="utf-8")
    seen = look(copy, folder, *options, f"--window-size={width},900")
    found = re.search(r'data-measured="([^"]*)"', seen.dom)
    assert found, "the page did not load"
    return json.loads(html.unescape(found[1])), seen.console


def check(page: Path, folder: Path, figures: int) -> None:
    """Loads without a word on the console, by day, at night, on a telephone; every figure is there and no word is cut off."""
    for width, options, paper in ((1000, (), "rgb(255, 255, 255)"), (390, (DARK,), "rgb(21, 25, 28)")):
        found, console = measured(page, folder, *options, width=width)
        assert console == []
        assert len(found["figures"]) == figures and all(w > 200 and h > 80 for w, h in found["figures"])
        assert found["cut"] == []
        assert found["over"] <= 0, f"{found['over']} pixels too wide in a window of {width}"
        assert found["paper"] == paper and found["ink"] != paper


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
