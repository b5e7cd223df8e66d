"""A headless Chromium that the tests drive by its DevTools protocol, gone when the tests are."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS, ANSWER_SECONDS = 120.0, 120.0
OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-sandbox",  # refuses to be root with one; it opens pages of the tests alone
)
KEYS = {
    "Tab": {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
    "Enter": {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
    "Space": {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
}


class Page:
    """One page of a browser."""

    def __init__(self, connection: ClientConnection, session: str = "") -> None:
        self._connection = connection
        self._session = session
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol and wait for its result; events are kept meanwhile."""
        self._number += 1
        call: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            call["sessionId"] = self._session
        self._connection.send(json.dumps(call))
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message.get('error')}"
                return message["result"]

    def open(self, address: str) -> None:
        """Load a page, to the end."""
        self.events.clear()
        self.send("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page and give its value."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key of ``KEYS``."""
        self.send("Input.dispatchKeyEvent", type="keyDown", **KEYS[key])
        self.send("Input.dispatchKeyEvent", type="keyUp", **{**KEYS[key], "text": ""})

    def write(self, text: str) -> None:
        """Write where the focus is."""
        self.send("Input.insertText", text=text)

    def be(self, *, scheme: str = "light", media: str = "screen") -> None:
        """Prefer a colour scheme, and be a screen or paper."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    def resize(self, width: int, height: int = 800) -> None:
        """Be a window of this size in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def print_to(self, path: Path) -> None:
        """Print the page as PDF."""
        found = self.send("Page.printToPDF", printBackground=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def said(self) -> list[str]:
        """List what went wrong since the page was opened: on the console, or as an exception."""
        wrong = {"Log.entryAdded", "Runtime.exceptionThrown"}
        return [
            json.dumps(event["params"])
            for event in self.events
            if event["method"] in wrong
            or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] != "log")
        ]

    def requests(self) -> list[str]:
        """List the addresses that were asked for since the page was opened."""
        sent = (each for each in self.events if each["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=ANSWER_SECONDS))
        if "method" in message:
            self.events.append(message)
        return message


def find_browser() -> str | None:
    """Find a Chromium on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browser_page(program: str, profile: Path) -> Iterator[Page]:
    """Start a browser with a profile of its own and give an empty page."""
    argv = [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    # A home of its own: it would write into the user's.
    environment = {**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile)}
    process = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        address = _address(process, profile / "DevToolsActivePort")
        with connect(address, max_size=None, open_timeout=START_SECONDS) as connection:
            browser = Page(connection)
            target = browser.send("Target.createTarget", url="about:blank")["targetId"]
            attached = browser.send("Target.attachToTarget", targetId=target, flatten=True)
            page = Page(connection, attached["sessionId"])
            for domain in ("Page", "Runtime", "Network", "Log"):
                page.send(f"{domain}.enable")
            yield page
            browser.send("Browser.close")
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _address(process: "subprocess.Popen[bytes]", note: Path) -> str:
    """Read where the browser listens, once it does."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        lines = note.read_text().splitlines() if note.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise TimeoutError("the browser does not start")
