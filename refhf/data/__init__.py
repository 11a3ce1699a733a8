"""Data sets: the bundled sample, published files and your own arrays."""
