"""Optimisers, one a file; a step is a function of (state, objective)."""
