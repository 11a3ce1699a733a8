"""The saddle surface with one mistake; mistake None computes the right reply."""

import numpy as np

from oracle.reply_changes import finished


def saddle(request, mistake):
    """The paper's function."""
    x, y = request["theta"]
    slip = mistake == "quarter-missing"
    value = x**2 / 2 + (y**4 if slip else y**4 / 4) - y**2 / 2
    hessian = [1.0, 0.0, 0.0, 2 * y**2 if mistake == "gauss-newton-for-hessian" else 3 * y**2 - 1]
    gradient = [x, y**3 + y if mistake == "saddle-sign" else y**3 - y]
    if mistake == "axes-swapped":
        gradient, hessian = gradient[::-1], hessian[::-1]
    return finished({"value": value, "gradient": np.array(gradient), "hessian": np.array(hessian)}, mistake)


def stationary_point(request, mistake):
    """Its kind."""
    x, y = request["theta"]
    if (x, y**3 - y) != (0, 0) and mistake != "gradient-not-tested":
        return {"kind": "not stationary"}
    eigenvalues = [1.0, 3 * y**2 - 1]
    kind = "saddle" if min(eigenvalues) < 0 else "minimum"
    kind = {"saddle-called-minimum": "minimum", "minimum-called-saddle": "saddle"}.get(mistake, kind)
    return {"kind": kind, "eigenvalues": eigenvalues if mistake == "unsorted" else sorted(eigenvalues)}


MISTAKES = {
    "saddle": (
        saddle,
        ["quarter-missing", "gauss-newton-for-hessian", "saddle-sign", "axes-swapped", "sign", "factor-2", "float32"],
    ),
    "stationary_point": (
        stationary_point,
        ["gradient-not-tested", "saddle-called-minimum", "minimum-called-saddle", "unsorted"],
    ),
}
