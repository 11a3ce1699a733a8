"""Requests and replies as two files, for a program that holds no dialogue: one JSON object a line."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from refhf.conformance.check_report import escaped
from refhf.conformance.vectors.adapter_process import MOST, NoReply, parsed
from refhf.conformance.vectors.load_vectors import Vector, compact


def write_questions(path: str | Path, vectors: Iterable[Vector], skips: frozenset[str] = frozenset()) -> int:
    """Write the requests, without those whose id, topic or flags are in `skips`; return their number."""
    asked = [vector for vector in vectors if not {vector.id, vector.topic, *vector.flags} & skips]
    lines = [compact({"id": vector.id, **vector.request}) + "\n" for vector in asked]
    Path(path).write_text("".join(lines), encoding="utf-8")
    return len(lines)


class AnswerFile:
    """The replies in a file, in any order.

    Parameters
    ----------
    path : str or Path
    ids : collection of str
        The ids of all vectors.
    notice : callable, optional
        Told in one line of the lines that are no reply to any of them.
    """

    def __init__(
        self, path: str | Path, ids: Collection[str], notice: Callable[[str], object] = lambda _: None
    ) -> None:
        self.lines: dict[str, bytes | None] = {}  # None: several
        number, count, first = 0, 0, ""
        with open(path, "rb") as file:
            for number, line in enumerate(_lines(file), 1):
                try:
                    name = parsed(line)["id"]
                    if name not in ids:
                        raise NoReply(f"no vector has the id {name[:80]!r}")
                    self.lines[name] = None if name in self.lines else line
                except NoReply as failure:
                    count, first = count + 1, first or f"line {number}: {failure}"
        if count:
            notice(escaped(f"{path}: {count} of {number} lines are no replies; {first}"))

    def ask(self, name: str, _: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request; `NoReply` if there is not exactly one."""
        line = self.lines.get(name, b"")
        if not line:
            raise NoReply("the file has several replies" if line is None else "the file has no reply")
        return parsed(line)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, without the end of a line of more than `MOST` bytes."""
    while line := file.readline(MOST):
        part = line
        while len(part) == MOST and not part.endswith(b"\n"):
            part = file.readline(MOST)
        yield line
