"""Runs a method step by step, names the methods, and counts what a run spends."""
