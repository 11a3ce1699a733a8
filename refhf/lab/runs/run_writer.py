"""Writer of a run's output folder.

`run.json` (arguments, options, versions) is written first. `history.jsonl` grows by one line a step. `checkpoint.npz`
is written at regular steps and at the end; a run resumes from it. `theta.npz` holds the last point, also of an
interrupted run, and the best point of a run that ended with non-finite numbers.
"""

import os
from pathlib import Path

from refhf.formats import write_npz
from refhf.lab.runs import atomic_files, output_folder, run_position, training_run
from refhf.lab.runs.checkpoint import CHECKPOINT_NAME
from refhf.lab.runs.network_choice import NetworkChoice
from refhf.lab.runs.run_position import RunPosition
from refhf.lab.runs.training_run import TrainingRun

THETA_FACTS = ("sizes", "loss", "l2", "seed", "method", *NetworkChoice._fields)  # repeated in theta.npz, if there


class RunWriter:
    """Writes history, checkpoint and final parameters of a run; a context manager.

    Parameters
    ----------
    folder : path
    run : TrainingRun
        For a new run the files of an earlier run in the folder are removed. For a resumed run the history is cut to its
        length at the checkpoint.
    every : int
        Steps between checkpoints; 0 writes only the last one.
    arguments : dict, optional
        The command-line arguments, for `run.json`.
    facts
        Facts that the checkpoint must match when it is loaded (`refhf.lab.runs.run_position`), in addition to
        `refhf.lab.runs.training_run.run_facts`.

    Raises
    ------
    ValueError
        If the folder cannot be made or emptied.
    OSError
        Here, in `keep` or at the end, if the disk is full.
    """

    def __init__(self, folder, run: TrainingRun, every: int = 0, arguments=None, **facts):
        self.folder, self.run, self.every, self.facts = (
            Path(folder),
            run,
            every,
            {**training_run.run_facts(run), **facts},
        )
        self.theta, history = (run.since.theta, run.since.history) if run.since else (run.problem.theta0, [])
        if run.since is None:
            output_folder.make_folder(self.folder)
            output_folder.empty_folder(self.folder)
        output_folder.write_text(
            self.folder / "run.json", output_folder.to_json(_description(run, arguments), indent=2) + "\n"
        )
        encoded = run_position.history_lines(history)
        self.records, self.bytes, self.digest = len(history), len(encoded), run_position.history_digest(encoded)
        self.stream = atomic_files.open_regular(self.folder / run_position.HISTORY, "r+b" if run.since else "xb")
        self.stream.truncate(self.bytes)
        self.stream.seek(self.bytes)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.stream.close()
        known = {name: self.facts[name] for name in THETA_FACTS if name in self.facts}
        with atomic_files.atomic_write(self.folder / "theta.npz") as file:
            write_npz(file, {"theta": self.theta, **known})

    def keep(self, position: RunPosition) -> None:
        """Append the step's record to the history; write a checkpoint if one is due. OSError if the disk is full."""
        self.theta = position.theta
        encoded = run_position.history_lines(position.history[self.records :])
        self.stream.write(encoded)
        self.stream.flush()
        self.records, self.bytes = len(position.history), self.bytes + len(encoded)
        self.digest.update(encoded)
        due = position.step > 0 and self.every > 0 and position.step % self.every == 0
        if position.status or due:
            self.save(position)

    def save(self, position: RunPosition) -> None:
        """Write a checkpoint, after syncing the history that belongs to it."""
        os.fsync(self.stream.fileno())
        history_end = {"bytes": self.bytes, "digest": self.digest.hexdigest()}
        run_position.save_position(self.folder / CHECKPOINT_NAME, position, history_end, **self.facts)


def _description(run, arguments):
    return {
        "command": arguments and output_folder.command(arguments),
        "arguments": arguments,
        "method": run.method,
        "options": run.options,
        **run.problem.network_facts,
        "sizes": run.problem.sizes,
        "parameters": run.problem.net.size,
        "versions": output_folder.versions(),
    }
