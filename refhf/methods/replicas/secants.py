"""The inverse Hessian on the span of the differences between M replicas.

S. Arnold and C. Wang, "Accelerating SGD for Distributed Deep Learning Using Approximated Hessian Matrix", section 2.
W (P, M) and G (P, M) are the paper's here: the replicas' parameters and gradients, each less its mean. G = H W (their
equation 2), so H^-1 G = W: the inverse is known on the span of G, and is taken as the identity on its complement,

    H^-1 z = z_perp + W c,    G c = z - z_perp the projection of z onto the span,    so    H^-1 z = z + (W - G) c

The text has slips. Its X is W. Its sigma_i, "eigenvalue of G'G", is the root of one. Its "H^-1 z = P U' Y z" is P U' z,
as Y z has no meaning. Centred, the columns of G sum to zero: the rank is at most M - 1, and never "at least M".

Departure: singular values are of H on the span of W. The paper's sigma_i are of G, from G'G. They mix the curvature
with how far apart the replicas happen to be, and their largest is no eigenvalue of H, as which the paper uses it; and
G'G loses half the digits. With W = Q S V', Q orthonormal, those of G V S^-1 = H Q are curvatures, whatever the spread.
The product is the same in exact arithmetic; the rank, and the estimates, are of H alone.

Departure: directions along which the replicas do not differ are ignored. Where replicas have gradients on batches of
their own, G can have directions that W has not, and the paper's formula divides them by a curvature of infinity:
coinciding replicas would get H^-1 z = z_perp. Only combinations along which the parameters differ are used; with W = 0
that is none of them, and H^-1 z = z.

All of it follows from the triangle R of [W G w g z] = U R (w, g the means), a matrix of 2 M + 3 columns. R' R is not
formed. The triangle can be made of blocks of rows, one a rank, by a QR of their triangles below each other (Demmel et
al. 2012, "Communication-optimal parallel and sequential QR and LU factorizations", TSQR). The work is O(P M^2).
"""

# W and G are matrices, not constants.
# pyright: reportConstantRedefinition=false

import math
from typing import Any, NamedTuple, cast

import numpy as np

from refhf import checks
from refhf.model.blocks import Array
from refhf.text import Word

RCOND = 0.5  # the rank's rule: eps^0.5. Our choice: there a secant pair has lost half its digits, as one by differences
ROUNDING = 4  # times M eps ||x||: differences below it are rounding of the x that were subtracted; our choice


class Differences(Word):
    """The use of the differences between the replicas; the value is a sentence."""

    USED = "The gradient's part in their span was multiplied by the inverse curvature they show."
    ONE_REPLICA = "A single replica differs from none: the inverse Hessian is taken as the identity."
    NO_SPREAD = "The replicas coincide: the inverse Hessian is taken as the identity."
    NO_CURVATURE = "The replicas' gradients do not differ: the inverse Hessian is taken as the identity."
    NON_FINITE = "A number is not finite."


class Secants(NamedTuple):
    """The same in coordinates: of combinations of the M columns of W and G.

    Attributes
    ----------
    differences : Differences
    coefficients : ndarray (M,)
        c, such that H^-1 z = z + (W - G) c.
    rank : int
        Of the span on which H^-1 is not the identity.
    largest : float
        ||H Q||, the largest singular value on the span of W: at most H's, and at least its Ritz values. NaN if unknown.
    eigenvalues : ndarray (r,)
        Ritz values of H on the span of W, ascending.
    vectors : ndarray (M, r)
        W @ vectors are the Ritz vectors.
    errors : ndarray (r,)
        ||H y - lambda y|| for them: so near is an eigenvalue of H, if H is symmetric and G = H W.
    asymmetry : float
        ||A - A'|| / (2 ||A||) for A = Q' H Q, which is 0 if so, and near 0.7 for noise. NaN if unknown.
    """

    differences: Differences
    coefficients: Array
    rank: int = 0
    largest: float = math.nan
    eigenvalues: Array = np.empty(0)
    vectors: Array | None = None
    errors: Array = np.empty(0)
    asymmetry: float = math.nan

    @property
    def learning_rate(self) -> float:
        """1/sigma_max (the paper's note after its last equation); NaN where there is no curvature."""
        return 1 / self.largest if self.rank else math.nan


def centred(x: Array) -> tuple[Array, Array]:
    """Columns (P, M) less their mean, and the mean (P,)."""
    mean = x.mean(axis=1)
    return x - mean[:, None], mean


def triangle(W: Array, G: Array, z: Array) -> Array:
    """The R (k, 2 M + 3) of [W G w g z], W and G (P, M) not yet centred, k the smaller of P and 2 M + 3."""
    (W, w), (G, g) = centred(W), centred(G)
    return cast(Array, np.linalg.qr(np.column_stack([W, G, w, g, z]), mode="r")) if W.shape[1] > 1 else np.empty((0, 5))


@np.errstate(all="ignore")
def secants(r: Array, eps: float) -> Secants:
    """The algebra on a triangle r (k, 2 M + 3), or on triangles below each other; eps is that of the data's dtype.

    The rank's rule. A combination of the columns of W counts if it is longer than eps^0.5 times the longest, and than
    the rounding of the means. A singular value of H Q counts if it is more than eps^0.5 times the largest, and than
    the rounding of the gradients over the distance between the replicas.
    """
    m = (r.shape[1] - 3) // 2
    found = Secants(Differences.ONE_REPLICA, np.zeros(m))
    if m == 1:
        return found
    if not np.isfinite(r).all():
        return found._replace(differences=Differences.NON_FINITE)
    W, G, (w, g, z) = r[:, :m], r[:, m : 2 * m], r[:, 2 * m :].T
    w_rounding, g_rounding = (
        ROUNDING * m * eps * math.hypot(np.linalg.norm(x), math.sqrt(m) * np.linalg.norm(mean))
        for x, mean in ((W, w), (G, g))
    )
    q, s, vt = np.linalg.svd(W, full_matrices=False)  # W = Q S V'
    keep = s > max(eps**RCOND * s[0], w_rounding)
    if not keep.any():
        return found._replace(differences=Differences.NO_SPREAD)
    q, to_q = q[:, keep], vt[keep].T / s[keep]  # W V S^-1 = Q
    hq = G @ to_q  # G V S^-1 = H Q
    a = q.T @ hq
    if not np.isfinite(a + a.T).all():
        return found._replace(differences=Differences.NON_FINITE)
    u, sigma, yt = np.linalg.svd(hq, full_matrices=False)  # H Q = U Sigma Y'
    to_hinv_u = to_q @ yt.T  # W V S^-1 Y = Q Y; over Sigma it is H^-1 U
    keep = sigma > np.maximum(eps**RCOND * sigma[0], g_rounding * np.linalg.norm(to_hinv_u, axis=0))
    eigenvalues, inside = np.linalg.eigh((a + a.T) / 2)
    found = found._replace(
        largest=float(sigma[0]),
        eigenvalues=eigenvalues,
        vectors=to_q @ inside,
        errors=np.linalg.norm(hq @ inside - q @ (inside * eigenvalues), axis=0),
        asymmetry=float(np.linalg.norm(a - a.T) / (2 * np.linalg.norm(a))) if sigma[0] else 0.0,
    )
    if not keep.any():
        return found._replace(differences=Differences.NO_CURVATURE)
    c = to_hinv_u[:, keep] @ (u[:, keep].T @ z / sigma[keep])  # c = V S^-1 Y Sigma^-1 U'z
    return found._replace(differences=Differences.USED, coefficients=c, rank=int(keep.sum()))


class InverseHessianProduct(NamedTuple):
    """The result of `inverse_hessian_product`.

    Attributes
    ----------
    product : ndarray (P,)
        The approximation of H^-1 z.
    differences : Differences
        What the replicas' differences were good for.
    rank : int
        Of the span on which H^-1 is not the identity; at most M - 1.
    learning_rate : float
        1/sigma_max; NaN where there is no curvature.
    eigenvalues : ndarray (r,)
        Of H on the span of the parameters' differences (Ritz values), ascending: the first and the last are the
        estimates of its extreme ones, from within.
    eigenvectors : ndarray (P, r)
        Theirs, orthonormal columns.
    errors : ndarray (r,)
        So far at most is the nearest eigenvalue of H, if it is symmetric and G = H W.
    asymmetry : float
        0 if it is, near 0.7 if G is noise.
    """

    product: Array
    differences: Differences
    rank: int
    learning_rate: float
    eigenvalues: Array
    eigenvectors: Array
    errors: Array
    asymmetry: float


@np.errstate(under="ignore")
def inverse_hessian_product(W: Any, G: Any, z: Any) -> InverseHessianProduct:
    """H^-1 z from the differences between replicas (Arnold and Wang, section 2).

    Parameters
    ----------
    W, G : array (P, M)
        A replica's parameters and its gradient a column, not centred.
    z : array (P,)
        Any vector.

    Returns
    -------
    InverseHessianProduct

    Raises
    ------
    ValueError
        For shapes that do not fit, no replica, or a number that is not finite.

    Examples
    --------
    Two replicas that differ along the first axis, where the curvature is 4:

    >>> import numpy as np
    >>> H = np.diag([4.0, 5.0])
    >>> W = np.array([[1.0, 2.0], [3.0, 3.0]])
    >>> found = inverse_hessian_product(W, H @ W, [8.0, 8.0])
    >>> found.product.round(12).tolist(), found.rank, str(found.differences), round(found.learning_rate, 12)
    ([2.0, 8.0], 1, 'used', 0.25)
    """
    W = checks.array("W", W, (None, None))
    if W.shape[1] < 1:
        raise ValueError(f"W: expected a column for each of M >= 1 replicas; got shape {W.shape}")
    G, z = checks.array("G", G, W.shape), checks.array("z", z, W.shape[:1])
    eps = max(float(np.finfo(x.dtype).eps) for x in (W, G, z))
    W, G, z = (x.astype(np.float64, copy=False) for x in (W, G, z))
    found = secants(triangle(W, G, z), eps)
    (W, _), (G, _) = centred(W), centred(G)
    vectors = np.empty((W.shape[0], 0)) if found.vectors is None else W @ found.vectors
    return InverseHessianProduct(
        z + (W - G) @ found.coefficients,
        found.differences,
        found.rank,
        found.learning_rate,
        found.eigenvalues,
        vectors,
        found.errors,
        found.asymmetry,
    )
