"""`refhf sweep`: what it checks, prints and writes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from refhf.data import data_sets
from refhf.lab.cli import command_parser, run_progress
from refhf.lab.plots import run_figures
from refhf.lab.runs import output_folder, stop_signals
from refhf.lab.sweep import sweep_figure, sweep_summary
from refhf.lab.sweep.sweep_grid import SweepSetting, batch_option, configurations
from refhf.lab.sweep.sweep_runs import run_sweep
from refhf.parallel import serial

LINES, PICTURE = "runs.jsonl", "sweep.png"


def run_sweep_command(args) -> int:
    """Run what the folder lacks, draw the picture, and print the table or its JSON; the exit status.

    The first Ctrl-C or SIGTERM ends it after the step in hand, from which the same command goes on.
    """
    folder, options, grid = (
        Path(args.out),
        command_parser.unique_options(args.option),
        command_parser.unique_options(args.grid),
    )
    chosen = configurations(args.methods, args.batches, range(args.seeds), options, grid)
    setting = _setting(args, folder)
    run_progress.print_notes(setting.problem(0).notes, args.quiet)
    with stop_signals.finish_step_on_signal(serial()) as asked, _progress(len(chosen), args.quiet) as show:
        lines = run_sweep(setting, chosen, folder / LINES, show, asked)
        if len(lines) < len(chosen):
            print("refhf: interrupted; the same command goes on with what was written", file=sys.stderr)
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


def _setting(args, folder):
    """What the runs share; every argument is checked before the data is read."""
    command_parser.check_problem(args)
    output_folder.check_folder(folder, overwrite=(folder / LINES).is_file())
    bar = not args.quiet and sys.stderr.isatty()
    cases = data_sets.load(args.data, data_dir=args.data_dir, dtype=args.dtype, progress=bar)
    ends = {name: getattr(args, name) for name in ("steps", "epochs", "targets", "stop_at_target")}
    return SweepSetting(cases, args.hidden, args.nonlinearity, args.loss, args.l2, **ends)


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Callable[[dict, bool], None]]:
    """A function that shows a line on stderr: by a bar where that is a terminal, else in words, once it is run."""
    bar = None if quiet else run_progress.progress_bar("sweep", total)

    def show(line, resumed):
        if bar is not None:
            bar.set_postfix_str(_said(line), refresh=False)
            bar.update()
        elif not (quiet or resumed):
            print(f"{_said(line)}, {line['status']}, {line['seconds']:.1f} s", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()


def _said(line):
    words = [line["method"], *(f"{name} {value}" for name, value in line["options"].items())]
    if line["batch"]:
        words.insert(1, f"batch {line['batch']}")
    loss = "not finite" if line["loss"] is None else f"{line['loss']:.3g}"
    return f"{', '.join(words)}, seed {line['seed']}: loss {loss} after {line['steps']} steps"


def _limits(setting):
    steps = setting.steps and f"{setting.steps} steps"
    passes = setting.epochs and f"{setting.epochs:g} passes"
    return " or ".join(["at most", *filter(None, (steps, passes))]).replace("at most or", "at most")


def _report(rows, setting, title):
    print(f"{title}; mean ± standard deviation over seeds")
    print(sweep_summary.sweep_table(sweep_summary.best_of_grid(rows), setting.targets))
    alone = [name for name in dict.fromkeys(row.method for row in rows) if batch_option(name) is None]
    if alone:
        print(f"without a batch, run once a seed: {', '.join(alone)}")
    if len(rows) > len(sweep_summary.best_of_grid(rows)):
        print("of each method and batch the options of least training loss; --json has them all")
