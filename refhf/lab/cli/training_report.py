"""Results of `refhf train` and `refhf compare`: table, JSON and the comparison's figure."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refhf.driver.status import Status
from refhf.lab.cli.run_progress import percent_text
from refhf.lab.plots import run_figures
from refhf.lab.runs import output_folder
from refhf.lab.runs.training_run import RunResult
from refhf.text import columns


def run_place(args: argparse.Namespace, folder: str | None, name: str) -> Path | None:
    """The folder of a run's files; in a comparison the subfolder of the method's name."""
    return None if folder is None else (Path(folder) if args.command == "train" else Path(folder, name))


def report_results(args: argparse.Namespace, results: Sequence[RunResult]) -> None:
    """Print the results on stdout and draw a comparison's figure."""
    picture = args.out and _picture(args, results)
    if args.json:
        rows = [_as_dict(result, run_place(args, args.out, result.run.method)) for result in results]
        print(output_folder.to_json(rows[0] if args.command == "train" else {"runs": rows, "picture": picture}))
        return
    print(results_table(results))
    for result in results:
        if result.status is not Status.STEPS_DONE:
            print(f"{result.run.method} ended at step {len(result.history) - 1}: {result.status.value[2]}")
    if results[-1].status is Status.INTERRUPTED:
        print(f"refhf {args.command} --resume {shlex.quote(args.out)} resumes it")
    if args.out:
        print(f"picture: {picture}" if picture else f"written, without a picture: {args.out}")
    else:
        print("nothing was written; --out DIR writes history, parameters and picture")


def _picture(args: argparse.Namespace, results: Sequence[RunResult]) -> str | None:
    """The path of the run's picture, or of the comparison's, drawn now; None if drawing failed."""
    if args.command == "train":
        path = Path(args.out, "run.png")
        return str(path) if path.exists() else None
    histories = {result.run.method: result.history for result in results}
    title = results[0].run.problem.title
    return run_figures.try_save_figure(
        lambda: run_figures.comparison_figure(histories, title), Path(args.out, "comparison.png")
    )


def _as_dict(result: RunResult, where: Path | None) -> dict[str, Any]:
    run = result.run
    return {
        "method": run.method,
        "options": run.options,
        "status": str(result.status),
        "final": {**result.history[-1], **(result.scores or {})},
        "history": result.history,
        "out": None if where is None else str(where),
    }


def results_table(results: Sequence[RunResult]) -> str:
    """A table of the runs' ends, a row each: errors of classes, or R^2 of a regression."""
    scored = "R^2" if results[0].scores else "error"
    head = "method", "final loss", f"training {scored}", f"test {scored}", "steps", "passes", "products", "seconds"
    rows = []
    for result in results:
        record = result.history[-1]
        score = [f"{percent_text(record[f'{part}_error'])} %" for part in ("training", "test")]
        if result.scores:
            score = [f"{result.scores[key]:.4f}" if key in result.scores else "-" for key in ("training_r2", "test_r2")]
        counts = f"{record['step']}", f"{record['epochs']:.1f}", f"{record['curvature_products']}"
        rows.append((result.run.method, f"{record['loss']:.4g}", *score, *counts, f"{record['seconds']:.1f}"))
    return "\n".join(columns([head, *rows]))
