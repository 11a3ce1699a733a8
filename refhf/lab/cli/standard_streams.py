"""Standard streams that keep printing failures from ending a command.

A closed pipe (`| head`), a closed stream (`2>&-`), a closed terminal or an encoding without some letter concerns only
the output, not the computation. One failure counts: results that cannot be written to stdout (a full disk).
"""

import contextlib
import os
import sys
from collections.abc import Iterator

SPELLING = str.maketrans({"±": "+-"})  # where the encoding has no such sign


class ForgivingStream:
    """A text stream that goes silent after an error of the type `forgiven`.

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
        """Write the text, with characters replaced that the encoding lacks."""
        try:
            self._try(self.stream.write, text)
        except UnicodeEncodeError:
            spelt = text.translate(SPELLING).encode(self.stream.encoding, "backslashreplace")
            self._try(self.stream.write, spelt.decode(self.stream.encoding))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._try(self.stream.flush)

    def _try(self, act, *args):
        try:
            act(*args)
        except OSError as error:
            self._end()
            if not isinstance(error, self.forgiven):
                raise

    def _end(self):
        """Redirect the stream to the null device, including what is still buffered."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError):  # no stream of the operating system's
            os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def forgiving_streams() -> Iterator[None]:
    """Replace `sys.stdout` and `sys.stderr`: stdout ignores a closed pipe, stderr ignores every OSError."""
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
