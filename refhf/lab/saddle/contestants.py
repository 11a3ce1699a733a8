"""Who takes part: the methods, two of them also with something random, and how each is drawn."""

from typing import NamedTuple

from refhf.surfaces.stationary_points import Surface

NOISE = 0.1  # our choice: seen in a picture, and small beside the gradient half way down
DELTA_0 = 0.1  # our choice: the norm of the random start vector; with 1 the step may be uphill, and is turned


class Contestant(NamedTuple):
    """A method of the lab.

    Attributes
    ----------
    method : str
        One of `refhf.available_methods()`.
    colour, dash, marker : str, tuple, str
        Okabe and Ito's colours, and a grey; lengths of dashes and gaps; matplotlib's sign.
    options : dict
        What it is run with, besides the defaults and a rate that suits the surface.
    """

    method: str
    colour: str
    dash: tuple
    marker: str
    options: dict = {}


LINEUP = {
    "gradient-descent": Contestant("gradient-descent", "#767676", (), "o"),
    "newton": Contestant("newton", "#0072B2", (8, 3), "s"),
    "truncated-newton": Contestant("truncated-newton", "#56B4E9", (3, 2), "^"),
    "saddle-free-newton": Contestant("saddle-free-newton", "#009E73", (8, 3, 2, 3), "D"),
    "hessian-bicgstab": Contestant("hessian-bicgstab", "#CC79A7", (1, 2), "v"),
    "random-start-cg": Contestant("hessian-cg", "#D55E00", (12, 3), "P", {"delta_0_norm": DELTA_0}),
    "noisy-gradient-descent": Contestant("gradient-descent", "#E69F00", (2, 2, 2, 6), "X", {"noise": NOISE}),
    "negative-curvature-newton": Contestant("negative-curvature-newton", "#000000", (), "*"),
    "random-start-bicgstab": Contestant("hessian-bicgstab", "#882255", (4, 4), "h", {"delta_0_norm": DELTA_0}),
    "gn-cg": Contestant("gn-cg", "#8C7B00", (6, 2, 1, 2), "<"),
    "hessian-cg": Contestant("hessian-cg", "#5D3A9B", (4, 4), ">"),
    "hybrid-cg": Contestant("hybrid-cg", "#40B0A6", (2, 4), "p"),
}
DEFAULT = tuple(LINEUP)[:8]


def options(contestant: Contestant, surface: Surface) -> dict:
    """The contestant's options on this surface.

    A gradient method's rate is 1/L, L the largest eigenvalue at a listed stationary point (our choice; 0.1 where
    there is none above 0).
    """
    rated = {"learning_rate": rate(surface)} if contestant.method == "gradient-descent" else {}
    return {**rated, **contestant.options}


def rate(surface: Surface) -> float:
    """The gradient methods' learning rate on a surface."""
    largest = max((p.eigenvalues[-1] for p in surface.stationary if p.eigenvalues is not None), default=0.0)
    return float(1 / largest) if largest > 0 else 0.1
