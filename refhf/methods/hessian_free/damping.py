"""The damping lambda of B = H + lambda I, adjusted by the reduction ratio (Algorithm 2, line 8).

Levenberg-Marquardt as in Martens 2010, section 4.1. lambda is against the **mean** of the cases' curvatures.
"""

INCREASE, DECREASE = 3 / 2, 2 / 3  # Martens 2010, section 4.1
LOW, HIGH = 1 / 4, 3 / 4  # Martens 2010, section 4.1
FLOOR = 1e-10  # our choice: keeps H + lambda I from becoming singular once the model is trusted for long
CEILING = 1e10  # our choice: beyond it a step is a gradient step of length ||g|| / lambda, and rounding decides


def predicted_change(slope: float, curvature: float, squared_norm: float, damping: float, damped: bool) -> float:
    """q(p) - q(0) of a step p, from slope = g'p, curvature = p'Bp of the damped B, and ||p||^2.

    Undamped (Martens' code, the default of every method here), q leaves lambda out: for the exact solution p
    of (H + lambda I) p = -g it is g'p/2 - lambda ||p||^2/2, the damped form g'p/2.
    """
    return slope + 0.5 * (curvature if damped else curvature - damping * squared_norm)


def levenberg_marquardt(damping: float, rho: float) -> float:
    """The next lambda: x 3/2 if rho < 1/4, x 2/3 if rho > 3/4, unchanged between; kept within a floor and a ceiling."""
    factor = INCREASE if rho < LOW else DECREASE if rho > HIGH else 1.0
    return min(max(damping * factor, FLOOR), CEILING)
