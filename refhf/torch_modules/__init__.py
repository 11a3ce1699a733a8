"""Modules of PyTorch and their twins. Nothing here imports torch: who has a module has imported it."""
