"""Sweeps: methods x batch sizes x seeds, one JSON line a run; an interrupted sweep is resumed.

A script builds the same objects as the command `refhf sweep`::

    from refhf.data.data_sets import load
    from refhf.lab.sweep.sweep_grid import SweepSetting, configurations
    from refhf.lab.sweep.sweep_runs import run_sweep
    from refhf.lab.sweep.sweep_summary import best_of_grid, seed_groups

    setting = SweepSetting(load("mnist-mini", dtype="float32"), (400, 150), steps=20, targets=(0.02, 0.04))
    chosen = configurations(["sgd", "gn-cg"], [128, 512], seeds=range(5), grid={"learning_rate": [0.03, 0.1, 0.3]})
    lines = run_sweep(setting, chosen, "figures/my_figure.jsonl")  # a list of dicts, in the order of `chosen`
    found = best_of_grid(seed_groups(lines))  # for each method and batch: mean and spread over seeds

`configurations` makes a cross product. A hand-written list of `Configuration(method, batch, seed, options)` also works,
for example when the learning rate depends on the batch. A file holds the runs of one setting. More configurations can
be added at any time; only missing runs are made, by several processes if asked. `sweep_figure` plots the results
against the batch size. `settings_search` finds each method's best options, and `search_report` says by how much methods
differ on other seeds.
"""
