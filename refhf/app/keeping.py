"""The folder of a run.

`run.json` (arguments, options, versions) comes first; `history.jsonl` grows a line a step; `checkpoint.npz` is what the
run can be resumed from, as of every so many steps and of its end; `theta.npz` is the last point, also of an interrupted
run; of one that ended at something not finite it is the best.
"""

import os
from pathlib import Path

from refhf.app import folders, progress
from refhf.app.checkpoint import NAME
from refhf.app.progress import Position
from refhf.app.runs import Run
from refhf.formats import write_npz


class Keeper:
    """Keeps what a run has come to, in a folder, while it is open.

    Parameters
    ----------
    folder : path
    run : Run
        From its start, for which the folder is emptied of an earlier run, or resumed: then its history is put back to
        what it was at the checkpoint.
    every : int
        Steps from one checkpoint to the next; 0 is the last one only.
    arguments : dict, optional
        Of the command line, for `run.json`.
    facts
        What the checkpoint is held to when it is loaded (`refhf.app.progress`).

    Raises
    ------
    ValueError
        If the folder cannot be made, or emptied.
    OSError
        Now, in `keep` or at the end, if the disk is full.
    """

    def __init__(self, folder, run: Run, every: int = 0, arguments=None, **facts):
        self.folder, self.run, self.every, self.facts = Path(folder), run, every, facts
        self.theta = run.problem.theta0 if run.since is None else run.since.theta
        if run.since is None:
            folders.make(self.folder)
            folders.empty(self.folder)
        folders.write(self.folder / "run.json", folders.to_json(_description(run, arguments), indent=2) + "\n")
        self.lines, self.stream = bytearray(), (self.folder / progress.HISTORY).open("wb")
        self._write(run.since.history if run.since else [])

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.stream.close()
        run, net = self.run, self.run.problem.net
        nonlinearity = net.nonlinearities[0].name if net.nonlinearities else "identity"
        facts = {"sizes": run.problem.sizes, "nonlinearity": nonlinearity, "loss": net.loss.name}
        more = {"l2": run.problem.objective.l2, "seed": run.problem.seed, "method": run.method}
        beside = self.folder / "theta.npz.part"
        with beside.open("wb") as file:
            write_npz(file, {"theta": self.theta, **facts, **more})
        os.replace(beside, self.folder / "theta.npz")

    def keep(self, position: Position) -> None:
        """After a step: a line, and if it is time a checkpoint. OSError where the disk is full."""
        self.theta = position.theta
        self._write(position.history[-1:])
        due = position.step > 0 and self.every > 0 and position.step % self.every == 0
        if position.status or due:
            progress.save(self.folder / NAME, position, bytes(self.lines), self.run.method, **self.facts)

    def _write(self, records):
        lines = "".join(folders.to_json(record) + "\n" for record in records).encode()
        self.lines += lines
        self.stream.write(lines)
        self.stream.flush()


def _description(run, arguments):
    return {
        "arguments": arguments,
        "method": run.method,
        "options": run.options,
        "sizes": run.problem.sizes,
        "parameters": run.problem.net.size,
        "versions": folders.versions(),
    }
