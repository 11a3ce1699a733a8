"""Mistakes that change a whole reply."""

import numpy as np


def finished(reply, mistake):
    """The whole reply doubled, turned round, or rounded."""
    change = {"factor-2": lambda x: 2 * x, "sign": lambda x: -x, "float32": lambda x: np.float32(x).astype(float)}
    return {key: change.get(mistake, lambda x: x)(value) for key, value in reply.items()}
