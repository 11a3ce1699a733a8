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
from collections.abc import Callable
from typing import Any, NoReturn

from refhf.conformance.vectors.load_vectors import compact

MOST = 2**20  # largest reply in bytes, our choice: fifty times the longest right one
STDERR_TAIL = 2000  # last bytes of stderr that are kept, our choice
NOTICE = 1.0  # seconds of waiting before the user is told, our choice
OCTAVES_LAST = "while preparing to exit"  # of a line that GNU Octave 7 writes after the error
ENDING = 0.5  # seconds to wait for a process or a pipe to end, our choice


class NoReply(Exception):  # noqa: N818 : an outcome of one request
    """A request has no valid reply; `late` if it was waited for in vain."""

    def __init__(self, reason: str, late: bool = False) -> None:
        super().__init__(reason)
        self.late = late


class Adapter:
    """The process of an adapter; a context manager that kills it at the end.

    Parameters
    ----------
    command : str
        The program and its arguments, quoted as for a shell; no shell is used.
    timeout : float
        Seconds to wait for a reply; the first reply waits for the program to start.
    notice : callable, optional
        Told in one line which reply is waited for, after a second of waiting.

    Raises
    ------
    ValueError
        If the program does not exist.
    """

    def __init__(self, command: str, timeout: float, notice: Callable[[str], object] = lambda _: None) -> None:
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"adapter: expected a command; got {command!r} ({error})") from None
        if not self.words or shutil.which(self.words[0]) is None:
            raise ValueError(f"adapter: expected a program that can be run; got {command!r}")
        self.timeout, self.notice, self.errors = min(timeout, threading.TIMEOUT_MAX), notice, b""
        self.answered: set[str] = set()
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
            line = self._awaited(name, replies)
            reply = parsed(line) if line.endswith(b"\n") else self._died(line)
            if reply["id"] != name:
                second = "is a second one to" if reply["id"] in self.answered else "has another id:"
                raise NoReply(f"the reply {second} {reply['id'][:80]!r}")
        except NoReply:
            self.end()
            raise
        self.answered.add(name)
        return reply

    def _awaited(self, name: str, replies: "queue.SimpleQueue[bytes]") -> bytes:
        left = self.timeout
        try:
            if left > NOTICE:
                with contextlib.suppress(queue.Empty):
                    return replies.get(timeout=NOTICE)
                self.notice(f"waiting for the reply to {name}, up to {self.timeout:g} s (--timeout)")
                left -= NOTICE
            return replies.get(timeout=left)
        except queue.Empty:
            cause = (
                "a line not flushed" if self.answered else "a slow start, a line not flushed, a reader that looks ahead"
            )
            raise NoReply(f"no reply in {self.timeout:g} s ({cause}? try --questions)", late=True) from None

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
        for reader, *pipes in (
            (self.exchange, self.process.stdin, self.process.stdout),
            (self.listener, self.process.stderr),
        ):
            closer = threading.Thread(target=_close, args=(reader, pipes), daemon=True)
            closer.start()
            closer.join(ENDING)  # ends with the process, unless a process outside its group holds the pipes
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
        ending = f"was ended by signal {-code}" if code and code < 0 else f"ended with status {code}"
        ending = "closed its output" if code is None else ending
        self.listener.join(ENDING)
        lines = self.errors.decode(errors="replace").strip().splitlines()
        words = [line for line in lines if OCTAVES_LAST not in line] or lines
        said = next((line for line in reversed(words) if "error" in line.lower()), words[-1]) if words else ""
        raise NoReply(f"the adapter {ending}" + (f": {said[:200]}" if said else ""))


def _exchange(process: Any, line: str, replies: "queue.SimpleQueue[bytes]") -> None:
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
    try:
        replies.put(process.stdout.readline(MOST))
    except (OSError, ValueError):
        replies.put(b"")


def _close(reader: threading.Thread | None, pipes: list[Any]) -> None:
    if reader is not None:
        reader.join()
    for pipe in pipes:
        with contextlib.suppress(OSError, ValueError):
            pipe.close()


def parsed(line: bytes) -> dict[str, Any]:
    """The reply in a line, an object whose `id` is a string; `NoReply` if there is none."""
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        raise NoReply(f"the reply is not JSON (other text belongs on stderr): {_shown(line)}") from None
    if not isinstance(reply, dict):
        raise NoReply(f"the reply is not a JSON object: {_shown(line)}")
    if not isinstance(reply.get("id"), str):
        raise NoReply(f"the reply has no id: {_shown(line)}")
    return reply


def _shown(line: bytes) -> str:
    return repr(line[:80].decode(errors="replace").rstrip("\n"))
