"""Standard streams on which nothing that is printed can end a command whose work is done.

A reader that goes away (`| head`), a stream that is closed (`2>&-`), a terminal that hangs up, and an encoding that
lacks a letter are all about what is shown, not about what was computed. Of the results on stdout one failure counts:
that they cannot be written (a full disk).
"""

import contextlib
import os
import sys
from collections.abc import Iterator

SPELLING = str.maketrans({"±": "+-"})  # where the encoding has no such sign


class ForgivingStream:
    """A text stream; what is written after a failure to be `forgiven` goes nowhere.

    Parameters
    ----------
    stream : text stream
    forgiven : type of OSError
    """

    def __init__(self, stream, forgiven):
        self.stream, self.forgiven = stream, forgiven

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write it, spelt as the encoding allows."""
        try:
            self._try(self.stream.write, text)
        except UnicodeEncodeError:
            spelt = text.translate(SPELLING).encode(self.stream.encoding, "backslashreplace")
            self._try(self.stream.write, spelt.decode(self.stream.encoding))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        self._try(self.stream.flush)

    def _try(self, act, *args):
        try:
            act(*args)
        except OSError as error:
            self._end()
            if not isinstance(error, self.forgiven):
                raise

    def _end(self):
        """Point the stream at nothing, for what it still holds as well: the interpreter writes that when it ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError):  # no stream of the operating system's
            os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def forgiving_streams() -> Iterator[None]:
    """Within it `sys.stdout` and `sys.stderr` are outlets: the first without a reader, the second without anything."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        out = ForgivingStream(nowhere if sys.stdout is None else sys.stdout, BrokenPipeError)
        err = ForgivingStream(nowhere if sys.stderr is None else sys.stderr, OSError)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    out.flush()
                err.flush()
