"""Figures of training runs, and the axes they are made of."""
