"""The file of a sweep: one JSON line with a digest for each run, and the folder of an interrupted run."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from refhf.driver.minimize import Status
from refhf.formats import FormatError
from refhf.lab.runs import atomic_files, checkpoint, output_folder, run_position, training_run
from refhf.lab.runs.run_position import RunPosition
from refhf.lab.runs.run_writer import RunWriter
from refhf.lab.sweep.sweep_grid import Configuration

COUNTS = ("epochs", "value_evaluations", "gradient_evaluations", "curvature_products")
ENDS = ("loss", "training_error", "test_error", "seconds")
NUMBER = int | float | None
KINDS = {
    **{"method": str, "batch": int | None, "seed": int, "options": dict, "defaults": dict, "status": str, "steps": int},
    **dict.fromkeys((*COUNTS, *ENDS), NUMBER),
    **{"reached": list, "curve": dict, "setting": dict},
}  # keys of a line and the types of their values
BEGINNING = b'{"method": "'  # how a line begins


def run_key(cell: Configuration) -> str:
    """The key that identifies a run within its setting."""
    try:
        return output_folder.to_json(cell, sort_keys=True)
    except TypeError as error:
        raise ValueError(
            f"options of {cell.method}: expected numbers, words and tuples of them; got {error}"
        ) from error


def as_json(value):
    """The value after a round trip through JSON."""
    return json.loads(output_folder.to_json(value))


@contextlib.contextmanager
def open_sweep_file(path, facts: Mapping) -> Iterator[tuple[dict, IO[str]]]:
    """Open and lock a sweep's file: its lines by run key, and a stream to append to. Without a path nothing is kept."""
    if path is None:
        with open(os.devnull, "w") as nowhere:
            yield {}, nowhere
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_files.open_regular(path, "a", encoding="utf-8", newline="\n") as stream, checkpoint.locked(path):
        yield _read(Path(path), facts), stream


def append_line(line: Mapping, stream: IO[str]) -> dict:
    """Write a line with its digest; return it as it will be read."""
    text = output_folder.to_json(line)
    stream.write(_signed(text) + "\n")
    stream.flush()
    return json.loads(text)


def _signed(text):
    return f'{text[:-1]}, "digest": "{_digest(text)}"}}'


def _digest(text):
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read(path, facts):
    """Read the lines; an incomplete last line is cut from the file."""
    content = path.read_bytes()
    whole, newline, torn = content.rpartition(b"\n")
    texts, lines = whole.split(b"\n") if newline else [], {}
    for i, text in enumerate(texts, 1):
        try:
            line = _checked(text)
            cell = run_key(Configuration(*(line[key] for key in Configuration._fields)))
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
        raise ValueError("its keys or types of values are wrong")
    if text.decode() != _signed(output_folder.to_json(line)):
        raise ValueError("it does not match its digest")
    return line


class InterruptedRun(NamedTuple):
    """The folder beside a sweep's file in which an interrupted run is saved.

    Attributes
    ----------
    folder : Path or None
    cell : Configuration
    facts : dict
        The facts of the setting.
    """

    folder: Path | None
    cell: Configuration
    facts: dict

    @classmethod
    def of(cls, path, cell: Configuration, facts: Mapping) -> "InterruptedRun":
        """The interrupted run of a configuration of the file `path`, with these facts of its setting."""
        folder = path and Path(f"{path}.{_digest(run_key(cell))}")
        return cls(folder, cell, {f"setting {key}": value for key, value in facts.items()})

    def resume(self, problem, steps: int) -> training_run.TrainingRun:
        """The run, resumed from its saved position, or from its start."""
        run, since = self.cell.plan(problem, steps), None
        if self.folder:
            since = run_position.load_position(
                self.folder / checkpoint.CHECKPOINT_NAME, **training_run.run_facts(run), **self.facts
            )
        return self.cell.plan(problem, steps, since) if since else run

    def save(self, run: training_run.TrainingRun, position: RunPosition) -> None:
        """Save the position of the run."""
        if self.folder:
            with RunWriter(self.folder, run, **self.facts) as keeper:
                keeper.keep(position._replace(status=Status.INTERRUPTED))

    def clear(self) -> None:
        """Remove the saved position."""
        if self.folder and self.folder.is_dir():
            output_folder.empty_folder(self.folder)
            with contextlib.suppress(OSError):
                self.folder.rmdir()
