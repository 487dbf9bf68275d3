"""A page in headless Chromium, driven over its debugging pipe: scripts, real pointer events, screenshots, requests."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.helpers import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """A page in a browser of its own; use it as a context manager.

    Attributes:
      requests: addresses that the page requested.
      problems: what the page wrote to the console as errors and warnings, and uncaught exceptions.
    """

    def __init__(self, path: Path, profile: Path, width: int, height: int, *, dark: bool = False, touch: bool = False):
        self.requests: list[str] = []
        self.problems: list[str] = []
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._start(profile)
        target = self._send("Target.createTarget", {"url": "about:blank"}, session=False)["targetId"]
        attached = self._send("Target.attachToTarget", {"targetId": target, "flatten": True}, session=False)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._send(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self._send("Emulation.setDeviceMetricsOverride", metrics)
        self._send("Emulation.setTouchEmulationEnabled", {"enabled": touch})
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", {"features": [theme]})
        self._send("Page.navigate", {"url": path.as_uri()})
        self.run("new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', done))")

    def _start(self, profile: Path) -> None:
        """The browser reads commands from the file descriptor 3 and writes answers to 4, each ended by a zero byte."""
        assert CHROMIUM is not None
        (read_command, self._write), (self._read, write_answer) = os.pipe(), os.pipe()
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        command = [CHROMIUM, *arguments, f"--user-data-dir={profile}"]
        redirected = f'exec "$@" 3<&{read_command} 4>&{write_answer}'
        self._process = subprocess.Popen(
            ["bash", "-c", redirected, "bash", *command],
            pass_fds=(read_command, write_answer),
            stderr=subprocess.DEVNULL,
        )
        os.close(read_command)
        os.close(write_answer)

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: Any) -> None:
        try:
            self._send("Browser.close", session=False)
        finally:
            os.close(self._write)
            os.close(self._read)
            self._process.wait(PATIENCE)

    def _send(self, method: str, parameters: dict[str, Any] | None = None, *, session: bool = True) -> Any:
        """The answer to a command; events that come before it are noted."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer.get("method"), answer.get("params"))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._read], [], [], PATIENCE)[0], "the browser does not answer"
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: str | None, parameters: Any) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(parameters["entry"]["text"])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        options = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self._send("Runtime.evaluate", options)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """(left, top, width, height) of an element, which is scrolled into view."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        left, top, width, height = self.run(
            f"(({{x, y, width, height}}) => [x, y, width, height])({found}.getBoundingClientRect())"
        )
        return left, top, width, height

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float], *, touch: bool = False) -> None:
        """Drag inside an element, from one place to another in fractions of its width and height."""
        left, top, width, height = self.box(selector)
        steps = 12
        places = [tuple(a + (b - a) * k / steps for a, b in zip(start, end, strict=True)) for k in range(steps + 1)]
        points = [{"x": left + u * width, "y": top + v * height} for u, v in places]
        if touch:
            self._send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [points[0]]})
            for point in points[1:]:
                self._send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
            self._send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            return
        self._mouse("mousePressed", points[0], clickCount=1)
        for point in points[1:]:
            self._mouse("mouseMoved", point, buttons=1)
        self._mouse("mouseReleased", points[-1], clickCount=1)

    def _mouse(self, kind: str, point: dict[str, float], **more: int) -> None:
        self._send("Input.dispatchMouseEvent", {"type": kind, "button": "left", **point, **more})

    def press(self, selector: str, *keys: str) -> None:
        """Focus an element and press keys, such as ArrowRight or +."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for key in keys:
            options = {"key": key, "code": key, "windowsVirtualKeyCode": codes.get(key, 0)}
            self._send("Input.dispatchKeyEvent", {"type": "keyDown", **options})
            self._send("Input.dispatchKeyEvent", {"type": "keyUp", **options})

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the whole page."""
        answer = self._send("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(answer["data"]))
