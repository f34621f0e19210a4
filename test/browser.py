"""For tests: a real Chromium without a window, driven over the DevTools protocol, WebGL in software."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--remote-debugging-port=0", "--hide-scrollbars",
)  # fmt: skip
PATIENCE = 180.0
"""Seconds: two slow cores render WebGL in software."""


def chromium() -> str | None:
    """The system's Chromium, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One tab. Everything that waits raises AssertionError after PATIENCE seconds, and says what was waited for."""

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """Errors of the console, and exceptions that nobody caught."""
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; what it returns."""
        number = next(self._numbers)
        self._websocket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.monotonic() + PATIENCE
        while True:
            message = json.loads(self._websocket.recv(timeout=max(0.01, deadline - time.monotonic())))
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._hear(message)

    def _hear(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif event.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif event.get("method") == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.complaints.append(" ".join(str(each.get("value", each)) for each in told["args"]))

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    @property
    def text(self) -> str:
        """All words on the page."""
        return str(self.evaluate("document.body?.innerText ?? ''"))

    def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; the page says: {self.text[:2000]}"
            time.sleep(0.1)

    def picture(self, keep: Path | None = None) -> NDArray[np.uint8]:
        """What the page shows, RGB; written to `keep` too."""
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if keep is not None:
            keep.parent.mkdir(parents=True, exist_ok=True)
            keep.write_bytes(png)
        decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8)

    def center_of(self, text: str) -> tuple[float, float]:
        """Where the innermost visible element with exactly these words is, in pixels; scrolled into view."""
        found = self._find(text)
        assert found, f"nothing on the page reads {text!r}; it says: {self.text[:3000]}"
        return float(found[0]), float(found[1])

    def reads(self, text: str) -> bool:
        """Whether there is such an element."""
        return bool(self._find(text))

    def _find(self, text: str) -> Any:
        return self.evaluate(
            f"""(() => {{
              const wanted = {json.dumps(text)};
              const all = [...document.querySelectorAll('button, label, span, div, p, input, a')];
              const fits = all.filter(e => (e.innerText || e.value || '').trim() === wanted && e.offsetParent !== null);
              const inner = fits.filter(e => !fits.some(o => o !== e && e.contains(o)));
              if (!inner.length) return null;
              inner[0].scrollIntoView({{block: 'center'}});
              const box = inner[0].getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )

    def click(self, text: str) -> None:
        """Click on the element with these words."""
        self.click_at(*self.center_of(text))

    def click_at(self, x: float, y: float) -> None:
        self._mouse("mouseMoved", x, y)
        self._mouse("mousePressed", x, y, button="left", clickCount=1)
        self._mouse("mouseReleased", x, y, button="left", clickCount=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 5) -> None:
        """With the left button, as to turn the camera."""
        self._mouse("mouseMoved", *start)
        self._mouse("mousePressed", *start, button="left", clickCount=1)
        for step in range(1, steps + 1):
            x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
            self._mouse("mouseMoved", x, y, button="left", buttons=1)
            time.sleep(0.03)
        self._mouse("mouseReleased", *end, button="left", clickCount=1)

    def _mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


class Browser:
    """A running Chromium with a profile of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._port = port
        self._open: list[Any] = []

    def page(self, address: str = "about:blank") -> Page:
        """A new tab. `address` is opened when the page's complaints are already being heard."""
        from websockets.sync.client import connect

        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            target = json.load(answer)
        websocket = connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None, ping_interval=None)
        self._open.append(websocket)
        page = Page(websocket)
        if address != "about:blank":
            page.open(address)
        return page

    def memory_mb(self) -> float:
        """Of all its processes, 10^6 bytes; shared pages count once."""
        total = 0
        for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
            with contextlib.suppress(OSError):  # ended meanwhile
                if os.getpgid(int(status.parent.name)) == self._process.pid:
                    total += sum(int(line.split()[1]) for line in status.read_text().splitlines() if line[:4] == "Pss:")
        return total * 1024 / 1e6

    def kill(self) -> None:
        """As when its machine loses power."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        for websocket in self._open:
            websocket.close()
        if self._process.poll() is None:
            self.kill()


@contextmanager
def browsing(width: int = 1024, height: int = 700) -> Iterator[Browser]:
    """A browser; gone, with its profile, when the block is left."""
    program = chromium()
    assert program is not None, "no Chromium on this machine"
    with tempfile.TemporaryDirectory(prefix="sray-chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        browser: Browser | None = None
        try:
            told = Path(profile) / "DevToolsActivePort"
            deadline = time.monotonic() + PATIENCE
            while not (told.exists() and told.read_text().strip()):
                assert process.poll() is None, f"Chromium ended with {process.returncode}"
                assert time.monotonic() < deadline, "Chromium does not say its DevTools port"
                time.sleep(0.05)
            browser = Browser(process, int(told.read_text().split()[0]))
            yield browser
        finally:
            if browser is not None:
                browser.close()
            elif process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
