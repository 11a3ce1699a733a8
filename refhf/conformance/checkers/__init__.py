"""Checkers: user code held against laws and references."""
