"""The command line and its parts: training runs, plots, sweeps, the saddle lab.

Imports go one way: runs, plots, sweep, saddle, cli.
"""
