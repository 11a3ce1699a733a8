"""Data sets: the bundled sample, published files and anybody's own arrays."""
