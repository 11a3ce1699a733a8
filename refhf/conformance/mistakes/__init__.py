"""Known mistakes, made on purpose, and their diagnosis."""
