"""A run: its problem, its steps, its folder and its checkpoints."""
