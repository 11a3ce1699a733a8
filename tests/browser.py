"""A headless Chromium for tests, driven over the DevTools protocol by a pair of pipes: nothing to install but itself.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# Where the browser looks for its pipes.
AS_3_AND_4 = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
SECONDS = 60
KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    " ": 32,
    "Home": 36,
    "End": 35,
    "Tab": 9,
    "Enter": 13,
}


class Browser:
    """One page in a browser of its own; a context manager.

    Attributes
    ----------
    complaints : list of str
        What came to the page's console, and what was thrown.
    """

    def __init__(self, width: int = 1280, height: int = 800):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read, self.to = os.pipe()
        self.back, write = os.pipe()
        command = [BROWSER, *FLAGS, f"--user-data-dir={self.folder.name}", f"--window-size={width},{height}"]
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", AS_3_AND_4, str(read), str(write), *command],
            pass_fds=(read, write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self.heard, self.asked, self.events, self.complaints, self.session = b"", 0, [], [], None
        try:
            self._attach(width, height)
        except BaseException:
            self.__exit__()
            raise

    def _attach(self, width, height):
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log":
            self(f"{domain}.enable")
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self("Browser.close")
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.back)
        self.folder.cleanup()

    def __call__(self, method: str, **params):
        """The result of a command of the protocol."""
        self.asked += 1
        message = {"id": self.asked, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.asked:
                assert "error" not in answer, f"{method}: {answer}"
                return answer["result"]

    def _next(self):
        end = time.monotonic() + SECONDS
        while b"\0" not in self.heard:
            if not select.select([self.back], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser did not answer")
            heard = os.read(self.back, 2**20)
            if not heard:
                raise OSError("the browser has gone")
            self.heard += heard
        message, self.heard = self.heard.split(b"\0", 1)
        message = json.loads(message)
        method, params = message.get("method"), message.get("params", {})
        self.events.append(method)
        if method == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(str(params["entry"]))
        return message

    def open(self, path: Path | str):
        """Load a file or an address, and wait until its scripts have run."""
        self.events.clear()
        self("Page.navigate", url=path if isinstance(path, str) else path.resolve().as_uri())
        while "Page.loadEventFired" not in self.events:
            self._next()

    def run(self, script: str):
        """The value of a JavaScript expression in the page."""
        answer = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float):
        """A mouse event, 'mousePressed', 'mouseMoved' or 'mouseReleased', of the left button."""
        buttons = 0 if kind == "mouseReleased" else 1
        self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def click(self, x: float, y: float):
        """Press and release."""
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def key(self, key: str):
        """Press a key and let it go."""
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        code = "Space" if key == " " else key
        for kind in "keyDown" if text else "rawKeyDown", "keyUp":
            self("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=KEYS[key], **text)
            text = {}

    def screenshot(self, path):
        """The page as it is, as a PNG file."""
        Path(path).write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))
