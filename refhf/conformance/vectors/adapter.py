"""Somebody else's implementation as a process: one JSON request a line to it, one JSON reply a line back.

Whatever it does is held against one request only: it is ended and started afresh after each that it fails to answer.
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

from refhf.conformance.vectors.load_vectors import compact

MOST = 2**20  # bytes of a reply, our choice: fifty times the longest
COMPLAINT = 2000  # bytes of its stderr that are kept, the last ones; our choice
ENDING = 0.5  # seconds that a process or a pipe may take to end, our choice


class NoReply(Exception):  # noqa: N818 : what became of one request, not an error of ours
    """A request was not answered; `silent` where the process died or hung."""

    def __init__(self, reason: str, silent: bool = False):
        super().__init__(reason)
        self.silent = silent


class Adapter:
    """A command that answers requests; a context manager that ends it.

    Parameters
    ----------
    command : str
        The program and its arguments, as in a shell; no shell runs it.
    limit : float
        Seconds for a reply.

    Raises
    ------
    ValueError
        For a program that is not there.
    """

    def __init__(self, command: str, limit: float):
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"adapter: expected a command; got {command!r} ({error})") from None
        if not self.words or shutil.which(self.words[0]) is None:
            raise ValueError(f"adapter: expected a program that can be run; got {command!r}")
        self.limit, self.process, self.complaints, self.exchange, self.listener = limit, None, b"", None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def ask(self, name: str, request: dict) -> dict:
        """The reply to a request; `NoReply` with the reason if none comes, or none that answers it."""
        replies = queue.SimpleQueue()
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

    def end(self):
        """End the process, and what it has started."""
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
            thread.join(ENDING)  # it ends with the process, unless something outside of its group has the pipes
            for pipe in () if thread.is_alive() else pipes:
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()
        self.process = None

    def _start(self):
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
        self.complaints = b""
        self.listener = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self.listener.start()

    def _listen(self, stderr):
        with contextlib.suppress(OSError, ValueError):
            while said := stderr.read1():
                self.complaints = (self.complaints + said)[-COMPLAINT:]

    def _died(self, line):
        if line:
            raise NoReply(f"the reply is not a line of at most {MOST} bytes: {_shown(line)}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(ENDING)
        code = self.process.returncode
        ending = "closed its output" if code is None else f"ended with status {code}"
        self.listener.join(ENDING)
        said = self.complaints.decode(errors="replace").strip().splitlines()
        raise NoReply(f"the adapter {ending}" + (f": {said[-1][:200]}" if said else ""), silent=True)


def _exchange(process, line, replies):
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
    try:
        replies.put(process.stdout.readline(MOST))
    except (OSError, ValueError):
        replies.put(b"")


def _parsed(line, name):
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        raise NoReply(f"the reply is not JSON: {_shown(line)}") from None
    if not isinstance(reply, dict):
        raise NoReply(f"the reply is not a JSON object: {_shown(line)}")
    if reply.get("id") != name:
        raise NoReply(f"the reply has not the request's id: {_shown(line)}")
    return reply


def _shown(line):
    return repr(line[:80].decode(errors="replace"))
