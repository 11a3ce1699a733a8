"""Mistakes that apply to every number of a reply: factor 2, sign, float32."""

import numpy as np


def finished(reply, mistake):
    """The reply doubled, negated or rounded to float32, if the mistake is one of these."""
    change = {"factor-2": lambda x: 2 * x, "sign": lambda x: -x, "float32": lambda x: np.float32(x).astype(float)}
    return {key: change.get(mistake, lambda x: x)(value) for key, value in reply.items()}
