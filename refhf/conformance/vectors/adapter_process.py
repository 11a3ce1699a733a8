"""Runs a user-supplied adapter as a process: one JSON request a line in, one JSON reply a line out.

A failure counts for one request only: the process is killed and restarted after each request without a valid reply.
"""

import contextlib
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
from typing import Any, NoReturn

from refhf.conformance.vectors.load_vectors import compact

MOST = 2**20  # largest reply in bytes, our choice: fifty times the longest right one
STDERR_TAIL = 2000  # last bytes of stderr that are kept, our choice
ENDING = 0.5  # seconds to wait for a process or a pipe to end, our choice


class NoReply(Exception):  # noqa: N818 : an outcome of one request
    """A request has no valid reply; `silent` if the process died or hung."""

    def __init__(self, reason: str, silent: bool = False) -> None:
        super().__init__(reason)
        self.silent = silent


class Adapter:
    """The process of an adapter; a context manager that kills it at the end.

    Parameters
    ----------
    command : str
        The program and its arguments, quoted as for a shell; no shell is used.
    limit : float
        Seconds to wait for a reply.

    Raises
    ------
    ValueError
        If the program does not exist.
    """

    def __init__(self, command: str, limit: float) -> None:
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"adapter: expected a command; got {command!r} ({error})") from None
        if not self.words or shutil.which(self.words[0]) is None:
            raise ValueError(f"adapter: expected a program that can be run; got {command!r}")
        self.limit, self.errors = limit, b""
        self.process: subprocess.Popen[bytes] | None = None
        self.exchange: threading.Thread | None = None
        self.listener: threading.Thread | None = None

    def __enter__(self) -> "Adapter":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request; `NoReply` with the reason if there is no valid one."""
        replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        if self.process is None:
            self._start()
        given = self.process, compact({"id": name, **request}), replies
        self.exchange = threading.Thread(target=_exchange, args=given, daemon=True)
        self.exchange.start()
        try:
            line = replies.get(timeout=self.limit)
            return _parsed(line, name) if line.endswith(b"\n") else self._died(line)
        except queue.Empty:
            self.end()
            raise NoReply(f"no reply in {self.limit:g} s (is each line flushed?)", silent=True) from None
        except NoReply:
            self.end()
            raise

    def end(self) -> None:
        """Kill the process and its children."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()
        for thread, *pipes in (
            (self.exchange, self.process.stdin, self.process.stdout),
            (self.listener, self.process.stderr),
        ):
            if thread is not None:
                thread.join(ENDING)  # ends with the process, unless a process outside its group holds the pipes
            for pipe in () if thread is not None and thread.is_alive() else pipes:
                with contextlib.suppress(OSError, ValueError):
                    if pipe is not None:
                        pipe.close()
        self.process = None

    def _start(self) -> None:
        try:
            self.process = subprocess.Popen(
                self.words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ValueError(f"adapter: expected a program that can be run; got {self.words[0]!r} ({error})") from None
        self.errors = b""
        self.listener = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self.listener.start()

    def _listen(self, stderr: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            while part := stderr.read1():
                self.errors = (self.errors + part)[-STDERR_TAIL:]

    def _died(self, line: bytes) -> NoReturn:
        assert self.process is not None and self.listener is not None
        if line:
            raise NoReply(f"the reply is not a line of at most {MOST} bytes: {_shown(line)}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDING)
        code = self.process.returncode
        ending = "closed its output" if code is None else f"ended with status {code}"
        self.listener.join(ENDING)
        lines = self.errors.decode(errors="replace").strip().splitlines()
        raise NoReply(f"the adapter {ending}" + (f": {lines[-1][:200]}" if lines else ""), silent=True)


def _exchange(process: Any, line: str, replies: "queue.SimpleQueue[bytes]") -> None:
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
    try:
        replies.put(process.stdout.readline(MOST))
    except (OSError, ValueError):
        replies.put(b"")


def _parsed(line: bytes, name: str) -> dict[str, Any]:
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        raise NoReply(f"the reply is not JSON: {_shown(line)}") from None
    if not isinstance(reply, dict):
        raise NoReply(f"the reply is not a JSON object: {_shown(line)}")
    if reply.get("id") != name:
        raise NoReply(f"the reply does not have the id of the request: {_shown(line)}")
    return reply


def _shown(line: bytes) -> str:
    return repr(line[:80].decode(errors="replace"))
