"""What a sweep keeps: its file of lines, each with a digest, and the run in hand where it was interrupted."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TextIO

from refhf.driver.minimize import Status
from refhf.formats import FormatError
from refhf.lab.runs import checkpoint, execution, output_folder, run_position, safe_files
from refhf.lab.runs.run_folder import Keeper
from refhf.lab.runs.run_position import Position
from refhf.lab.sweep.cells import Cell

COUNTS = ("epochs", "value_evaluations", "gradient_evaluations", "curvature_products")
ENDS = ("loss", "training_error", "test_error", "seconds")
NUMBER = int | float | None
KINDS = {
    **{"method": str, "batch": int | None, "seed": int, "options": dict, "defaults": dict, "status": str, "steps": int},
    **dict.fromkeys((*COUNTS, *ENDS), NUMBER),
    **{"reached": list, "curve": dict, "setting": dict},
}  # of a line
BEGINNING = b'{"method": "'  # of a line


def name(cell: Cell) -> str:
    """What tells a run from the others of its setting."""
    try:
        return output_folder.to_json(cell, sort_keys=True)
    except TypeError as error:
        raise ValueError(
            f"options of {cell.method}: expected numbers, words and tuples of them; got {error}"
        ) from error


def plain(value):
    """What JSON makes of it."""
    return json.loads(output_folder.to_json(value))


@contextlib.contextmanager
def opened(path, facts: Mapping) -> Iterator[tuple[dict, TextIO]]:
    """The lines that the file has, by their runs' names, and a stream for more; none and nowhere without a file."""
    if path is None:
        with open(os.devnull, "w") as nowhere:
            yield {}, nowhere
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with safe_files.opened(path, "a", encoding="utf-8", newline="\n") as stream, checkpoint.locked(path):
        yield _read(Path(path), facts), stream


def written(line: Mapping, stream: TextIO) -> dict:
    """The line as it will be read, once it is written."""
    text = output_folder.to_json(line)
    stream.write(_signed(text) + "\n")
    stream.flush()
    return json.loads(text)


def _signed(text):
    return f'{text[:-1]}, "digest": "{_digest(text)}"}}'


def _digest(text):
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read(path, facts):
    """The lines, without the last one if it was torn off, which is cut from the file, too."""
    content = path.read_bytes()
    whole, newline, torn = content.rpartition(b"\n")
    texts, lines = whole.split(b"\n") if newline else [], {}
    for i, text in enumerate(texts, 1):
        try:
            line = _checked(text)
            cell = name(Cell(*(line[key] for key in Cell._fields)))
        except (ValueError, TypeError, RecursionError, AttributeError) as error:
            raise FormatError(path, f"line {i}: expected a run of a sweep as JSON ({error})") from error
        for key, value in facts.items():
            if line["setting"].get(key) != value:
                raise ValueError(
                    f"{key}: expected {line['setting'].get(key)!r}, as in the runs that are in {path}; got {value!r}"
                )
        lines[cell] = line
    if not (torn.startswith(BEGINNING) or BEGINNING.startswith(torn)):
        raise FormatError(path, f"line {len(texts) + 1}: expected a run of a sweep as JSON, or its beginning")
    if torn:
        os.truncate(path, len(content) - len(torn))
    return lines


def _checked(text):
    line = json.loads(text)
    line.pop("digest", None)
    if set(line) != set(KINDS) or not all(isinstance(line[key], kind) for key, kind in KINDS.items()):
        raise ValueError("it has other keys, or values")
    if text.decode() != _signed(output_folder.to_json(line)):
        raise ValueError("it is not what its digest says")
    return line


class Hand(NamedTuple):
    """The run in hand, which an interrupted sweep puts into a folder beside its file, to take it up again.

    Attributes
    ----------
    folder : Path or None
    cell : Cell
    facts : dict
        Of the setting.
    """

    folder: Path | None
    cell: Cell
    facts: dict

    @classmethod
    def of(cls, path, cell: Cell, facts: Mapping) -> "Hand":
        """That of a cell of the file `path`, in which its setting has these facts."""
        folder = path and Path(f"{path}.{_digest(name(cell))}")
        return cls(folder, cell, {f"setting {key}": value for key, value in facts.items()})

    def taken_up(self, problem, steps: int) -> execution.Run:
        """The run, from where it was put down, if it was, or from its start."""
        run, since = self.cell.plan(problem, steps), None
        if self.folder:
            since = run_position.load(self.folder / checkpoint.NAME, **execution.facts(run), **self.facts)
        return self.cell.plan(problem, steps, since) if since else run

    def put_down(self, run: execution.Run, position: Position) -> None:
        """Keep where the run stands."""
        if self.folder:
            with Keeper(self.folder, run, **self.facts) as keeper:
                keeper.keep(position._replace(status=Status.INTERRUPTED))

    def emptied(self) -> None:
        """Remove what was put down."""
        if self.folder and self.folder.is_dir():
            output_folder.empty(self.folder)
            with contextlib.suppress(OSError):
                self.folder.rmdir()
