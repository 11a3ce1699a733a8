"""The methods of the saddle lab, their options and how they are drawn."""

from typing import NamedTuple

from refhf.surfaces.stationary_points import Surface

NOISE = 0.1  # our choice: visible in a picture, and small compared with the gradient half way down
LAST = {"solver_iterations": 250, "backtracking": False}  # He et al. 2016, section 4.1: the step is CG's answer
SOLVES = {  # of the methods with a solver, which solves two or three unknowns here: our choice, as in figure 2's runs
    **{"gn-cg": LAST, "hessian-cg": LAST, "hybrid-cg": LAST},
    "hessian-bicgstab": {"solver_iterations": 10, "backtracking": True},
}
DELTA_0 = 0.1  # our choice: the norm of the random start vector; with 1 the step may be uphill, and is turned


class SaddleMethod(NamedTuple):
    """A method of the saddle lab.

    Attributes
    ----------
    method : str
        One of `refhf.available_methods()`.
    colour, dash, marker : str, tuple, str
        Okabe and Ito's colours, and a grey; lengths of dashes and gaps; matplotlib's marker.
    options : dict
        Options in addition to those of SOLVES, the defaults, and a learning rate that suits the surface.
    """

    method: str
    colour: str
    dash: tuple
    marker: str
    options: dict = {}


SADDLE_METHODS = {
    "gradient-descent": SaddleMethod("gradient-descent", "#767676", (), "o"),
    "newton": SaddleMethod("newton", "#0072B2", (8, 3), "s"),
    "truncated-newton": SaddleMethod("truncated-newton", "#56B4E9", (3, 2), "^"),
    "saddle-free-newton": SaddleMethod("saddle-free-newton", "#009E73", (8, 3, 2, 3), "D"),
    "hessian-bicgstab": SaddleMethod("hessian-bicgstab", "#CC79A7", (1, 2), "v"),
    "random-start-cg": SaddleMethod("hessian-cg", "#D55E00", (12, 3), "P", {"delta_0_norm": DELTA_0}),
    "noisy-gradient-descent": SaddleMethod("gradient-descent", "#E69F00", (2, 2, 2, 6), "X", {"noise": NOISE}),
    "negative-curvature-newton": SaddleMethod("negative-curvature-newton", "#000000", (14, 2, 2, 2), "*"),
    "random-start-bicgstab": SaddleMethod("hessian-bicgstab", "#882255", (4, 4), "h", {"delta_0_norm": DELTA_0}),
    "gn-cg": SaddleMethod("gn-cg", "#8C7B00", (6, 2, 1, 2), "<"),
    "hessian-cg": SaddleMethod("hessian-cg", "#5D3A9B", (10, 6), ">"),
    "hybrid-cg": SaddleMethod("hybrid-cg", "#40B0A6", (2, 4), "p"),
}
DEFAULT_METHODS = tuple(SADDLE_METHODS)[:8]


def method_options(entry: SaddleMethod, surface: Surface) -> dict:
    """The options of a method on this surface.

    The learning rate of gradient methods is 1/L, L the largest eigenvalue at a listed stationary point (our choice; 0.1
    if no eigenvalue is positive).
    """
    rated = {"learning_rate": gradient_rate(surface)} if entry.method == "gradient-descent" else {}
    return {**rated, **SOLVES.get(entry.method, {}), **entry.options}


def gradient_rate(surface: Surface) -> float:
    """The learning rate of gradient methods on a surface."""
    largest = max((p.eigenvalues[-1] for p in surface.stationary if p.eigenvalues is not None), default=0.0)
    return float(1 / largest) if largest > 0 else 0.1
