"""Sweeps: methods x batch sizes x seeds, one JSON line a run, resumed where they stopped. `refhf sweep`, and figures.

A figure's script builds the same three things that the command does::

    from refhf.data import data_sets as data
    from refhf.lab.sweep.sweep_grid import Setting
    from refhf.lab.sweep.sweep_grid import cells
    from refhf.lab.sweep.sweep_runs import execute
    from refhf.lab.sweep.sweep_summary import best
    from refhf.lab.sweep.sweep_summary import rows

    setting = Setting(data.load("mnist-mini", dtype="float32"), (400, 150), steps=20, targets=(0.02, 0.04))
    chosen = cells(["sgd", "gn-cg"], [128, 512], seeds=range(5), grid={"learning_rate": [0.03, 0.1, 0.3]})
    lines = execute(setting, chosen, "figures/my_figure.jsonl")  # a list of dicts, in the order of `chosen`
    found = best(rows(lines))                                    # a row a method and batch: mean and spread over seeds

`cells` makes a cross product; a list of `Cell(method, batch, seed, options)` written by hand serves as well, e.g. for a
learning rate that depends on the batch. A file holds the runs of one setting; more cells may join it at any time, and
only the runs that it lacks are made, by one process at a time. `sweep_figure` draws rows against the batch
size on given axes.
"""
