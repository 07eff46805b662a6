"""A headless Chromium for tests and screenshots, driven by its own protocol (DevTools)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--remote-debugging-port=0"
)
KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    " ": (32, " "),
    "End": (35, ""),
    "Home": (36, ""),
    "PageUp": (33, ""),
    "PageDown": (34, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
}


class Browser:
    """One page. Other computers are out of reach: the browser's proxy does not exist.

    Args:
        profile: a folder of its own.

    Attributes:
        requests: addresses that the page asked for.
        problems: uncaught errors, and what the browser refused or complained about.
    """

    def __init__(self, profile: Path):
        command = [
            str(CHROMIUM),
            *FLAGS.split(),
            "--proxy-server=http://127.0.0.1:9",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._loop = asyncio.new_event_loop()
        self._last, self.requests, self.problems = 0, [], []
        try:
            port = self._port(profile / "DevToolsActivePort")
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/json/list", timeout=30
            ) as listing:
                page = next(target for target in json.load(listing) if target["type"] == "page")
            self._connection = self._loop.run_until_complete(
                _connected(page["webSocketDebuggerUrl"])
            )
        except BaseException:
            self.close()
            raise
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def _port(self, file: Path) -> int:
        """The port that the browser chose, which it writes to a file once it listens."""
        for _ in range(600):
            if file.is_file() and (lines := file.read_text().splitlines()):
                return int(lines[0])
            assert self._process.poll() is None, (
                f"{CHROMIUM} ended by itself; start it by hand to see why"
            )
            time.sleep(0.05)
        raise AssertionError(f"{CHROMIUM} did not start within 30 seconds")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have the browser do `method` and return its result; what happened in between is noted."""
        self._last += 1
        number = self._last
        message = json.dumps({"id": number, "method": method, "params": parameters})

        async def exchange() -> dict[str, Any]:
            await self._connection.write_message(message)
            while True:
                text = await asyncio.wait_for(self._connection.read_message(), 60)
                assert text is not None, "the browser is gone"
                told = json.loads(text)
                if told.get("id") == number:
                    return told
                self._note(told)

        told = self._loop.run_until_complete(exchange())
        assert "error" not in told, f"{method}: {told.get('error')}"
        return told["result"]

    def _note(self, event: dict[str, Any]) -> None:
        details = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            self.problems.append(
                details["exceptionDetails"].get("exception", {}).get("description", "an error")
            )
        elif event["method"] == "Log.entryAdded" and details["entry"]["level"] in (
            "error",
            "warning",
        ):
            self.problems.append(details["entry"]["text"])

    def open(self, address: str, width: int = 1000, height: int = 1100, dark: bool = False) -> None:
        """Go to an address, with nothing noted yet, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.requests.clear()
        self.problems.clear()
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; promises are awaited."""
        told = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> Any:
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"after {seconds} s still not: {script}"
            time.sleep(0.03)
        return value

    def text(self, selector: str) -> str:
        """The text of the first element that fits, as it is shown."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that fits, as a hand would: once it is there."""
        self.wait(f"document.querySelector({json.dumps(selector)}) !== null")
        x, y = self.run(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{block: 'center'}});
              const box = element.getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code, text = KEYS[key]
        details = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", **details, **({"text": text} if text else {})
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **details)

    def accessible(self) -> list[dict[str, Any]]:
        """What a screen reader is given: role, name and properties of all that it does not skip."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            {
                "role": node["role"]["value"],
                "name": node.get("name", {}).get("value", ""),
                "value": node.get("value", {}).get("value"),
            }
            | {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
            for node in nodes
            if not node["ignored"]
        ]

    def picture(self, whole: bool = True) -> bytes:
        """The whole page as a PNG, or what is seen of it without scrolling."""
        return base64.b64decode(
            self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        )

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._loop.close()


async def _connected(address: str) -> WebSocketClientConnection:
    return await websocket_connect(address, max_message_size=50_000_000)
