"""`refhf sweep`: runs methods x batch sizes x seeds."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refhf.data import data_sets
from refhf.lab.cli import network_arguments, run_progress, shared_arguments, sweep_search
from refhf.lab.cli.argument_types import grid_axis, integer_above_0, list_of, real_number, unique_options
from refhf.lab.plots import run_figures
from refhf.lab.runs import output_folder, stop_signals
from refhf.lab.sweep import sweep_figure, sweep_summary
from refhf.lab.sweep.sweep_grid import SweepSetting, batch_option, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.parallel import serial
from refhf.text import name_list

LINES, PICTURE = "runs.jsonl", "sweep.png"
EXAMPLE = """\
example: two methods, three batch sizes, five seeds; for sgd the best of three learning rates
  refhf sweep --methods sgd,gn-cg --batches 128,512,2048 --grid learning_rate=0.03,0.1,0.3 --epochs 20 --out sweep
"""
SEEDS = 5  # our choice


def add_sweep_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    epilog = shared_arguments.methods_epilog(EXAMPLE + sweep_search.EXAMPLE)
    command = commands.add_parser("sweep", help="run methods x batch sizes x seeds", epilog=epilog)
    shared_arguments.add_problem_arguments(command)
    add = command.add_argument
    add("--methods", required=True, type=name_list, metavar="A,B,C", help="methods; see below")
    add(
        "--batches", required=True, type=list_of(integer_above_0), metavar="B,B",
        help="values of each method's batch or curvature_batch",
    )  # fmt: skip
    add(
        "--seeds", type=integer_above_0, metavar="N",
        help=f"number of seeds; they are 0 to N - 1; default: {SEEDS}",
    )  # fmt: skip
    add("--steps", type=integer_above_0, metavar="N", help="steps of a run, epochs for first-order methods")
    add("--epochs", type=real_number, metavar="N", help="end a run after so many effective passes over the data")
    add(
        "--grid", action="append", default=[], type=grid_axis, metavar="NAME=V,V",
        help="try all values of an option; repeatable",
    )  # fmt: skip
    add(
        "--targets", default=[], type=list_of(real_number), metavar="E,E",
        help="training errors; report the first step that reaches each",
    )  # fmt: skip
    add("--stop-at-target", action="store_true", help="end a run that has reached all targets")
    sweep_search.add_search_arguments(add)
    add("--out", required=True, metavar="DIR", help="folder of runs and picture; runs already there are not repeated")
    shared_arguments.add_json(command)


def run_sweep_command(args: argparse.Namespace) -> int:
    """Make the runs that the folder lacks, draw the picture, print the table or its JSON; the exit status.

    The first Ctrl-C or SIGTERM ends the sweep after the current step; the same command then resumes from there.
    """
    folder = Path(args.out)
    sweep_search.check_search(args)
    options, grid = unique_options(args.option), unique_options(args.grid)
    chosen = configurations(args.methods, args.batches, range(args.seeds or SEEDS), options, grid)
    setting = _setting(args, folder)
    run_progress.print_notes(setting.problem(0).notes, args.quiet)
    total = None if args.search else len(chosen)
    with stop_signals.finish_step_on_signal(serial()) as asked, _progress(total, args.quiet) as show:
        if args.search:
            return sweep_search.run_search(args, setting, folder / LINES, show, asked)
        lines = run_sweep(setting, chosen, folder / LINES, show, asked, args.processes)
        if len(lines) < len(chosen):
            print("refhf: interrupted; the same command resumes the sweep", file=sys.stderr)
            return 128 + asked()
    rows = sweep_summary.seed_groups(lines)
    title = f"{setting.problem(0).title}, {len(setting.data.X)} cases, {_limits(setting)}"
    drawn = run_figures.try_save_figure(lambda: sweep_figure.draw_sweep(rows, setting.targets, title), folder / PICTURE)
    if args.json:
        files = {"lines": str(folder / LINES), "picture": drawn}
        print(output_folder.to_json({"rows": sweep_summary.group_dicts(rows), **files}))
    else:
        _report(rows, setting, title)
        print(f"runs: {folder / LINES}\npicture: {drawn or 'none'}")
    return 0


def _setting(args: argparse.Namespace, folder: Path) -> SweepSetting:
    """The setting that the runs share; every argument is checked before the data is read."""
    shared_arguments.check_problem(args)
    output_folder.check_folder(folder, overwrite=(folder / LINES).is_file())
    bar = not args.quiet and sys.stderr.isatty()
    cases = data_sets.load(args.data, data_dir=args.data_dir, dtype=args.dtype, context=args.context, progress=bar)
    ends = {name: getattr(args, name) for name in ("steps", "epochs", "targets", "stop_at_target")}
    ends["budgets"] = args.budgets or None
    return SweepSetting(cases, network_arguments.network_choice(args), args.loss, args.l2, **ends)


@contextmanager
def _progress(total: int | None, quiet: bool) -> Iterator[Callable[[dict, bool], None]]:
    """A function that shows a finished run on stderr: a bar on a terminal, else a line; a search has no total."""
    bar = None if quiet else run_progress.progress_bar("sweep", total)

    def show(line, resumed):
        if bar is not None:
            bar.set_postfix_str(_run_summary(line), refresh=False)
            bar.update()
        elif not (quiet or resumed):
            print(f"{_run_summary(line)}, {line['status']}, {line['seconds']:.1f} s", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()


def _run_summary(line: dict[str, Any]) -> str:
    words: list[str] = [line["method"], *(f"{name} {value}" for name, value in line["options"].items())]
    if line["batch"]:
        words.insert(1, f"batch {line['batch']}")
    loss = "not finite" if line["loss"] is None else f"{line['loss']:.3g}"
    return f"{', '.join(words)}, seed {line['seed']}: loss {loss} after {line['steps']} steps"


def _limits(setting: SweepSetting) -> str:
    steps = f"{setting.steps} steps" if setting.steps else ""
    passes = f"{setting.epochs:g} passes" if setting.epochs else ""
    spent = " and ".join(f"{amount:g} {name}" for name, amount in (setting.budgets or {}).items())
    return " or ".join(["at most", *filter(None, (steps, passes, spent))]).replace("at most or", "at most")


def _report(rows: list[sweep_summary.SeedGroup], setting: SweepSetting, title: str) -> None:
    print(f"{title}; mean ± standard deviation over seeds")
    print(sweep_summary.sweep_table(sweep_summary.best_of_grid(rows), setting.targets))
    alone = [name for name in dict.fromkeys(row.method for row in rows) if batch_option(name) is None]
    if alone:
        print(f"methods without a batch, run once for each seed: {', '.join(alone)}")
    if len(rows) > len(sweep_summary.best_of_grid(rows)):
        print("only the options with the lowest training loss are shown for each method and batch; --json has all")
