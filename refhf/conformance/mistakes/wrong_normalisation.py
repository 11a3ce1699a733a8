"""Normalisation with a term left out, or by another formula, as known mistakes compute it.

With m numbers a set and n = rho (a - mu), all of these are of the form

    Rn = rho (Ra - c mean(Ra) - k n mean(n Ra)) = J Ra,  Rrho = -k rho^2 mean(n Ra),  Da = J Dn
    RDa = J RDn - rho (k mean(n Ra) Da + k Rn mean(n Dn) + k n mean(Rn Dn) - k e n mean(n Dn) mean(n Ra))

where c = k = 1 and e = 0 is right. Constant statistics have c = k = 0, a constant mean has c = 0, the unbiased variance
k = m / (m - 1); with epsilon outside the root rho = 1 / (sigma + epsilon), k = 1 / (rho sigma), e = epsilon / sigma^2.
A mistake of the R-forward sweep alone, or of the others alone, changes the c and k of its own J. Saved statistics are
constants only where Rn is differentiated once more:

    RDa = J (gamma RDs) + rho c Ds - rho^2 (mean(n Ra) Dn + mean(n Dn) (Ra - mean(Ra)))    with gamma's direction c
"""

from dataclasses import dataclass
from typing import Any

from refhf.conformance.patterns import Pattern
from refhf.model.blocks import Array
from refhf.model.normalisation import Normalisation

MISTAKES = (
    Pattern.CONSTANT_STATISTICS,
    Pattern.NO_MEAN_TERM,
    Pattern.SAVED_STATISTICS,
    Pattern.EPSILON_OUTSIDE,
    Pattern.UNBIASED_VARIANCE,
)


@dataclass(frozen=True)
class MistakenNormalisation:
    """A normalisation with some of the mistakes, in the R-forward sweep those of `tangent`."""

    norm: Normalisation
    without: frozenset[Pattern]
    tangent: frozenset[Pattern]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "norm":
            raise AttributeError(name)
        return getattr(self.norm, name)

    def forward(self, w, a, *, order=2):
        """Sweep 1."""
        (gamma, beta), x, mean = w, self.norm.sets(a), self.norm.mean
        centred, m, epsilon = x - mean(x), x.shape[1], self.norm.epsilon
        k, bend, square = 1.0, 0.0, mean(centred, centred)
        if Pattern.UNBIASED_VARIANCE in self.without:
            k = m / (m - 1) if m > 1 else float("nan")
            square = k * square
        rho = (square + epsilon) ** -0.5
        if Pattern.EPSILON_OUTSIDE in self.without:
            rho = 1 / (square**0.5 + epsilon)
            k, bend = 1 / (rho * square**0.5), epsilon / square
        n = rho * centred
        return (gamma * n + beta).reshape(a.shape), (gamma, n, rho, k, bend, a.shape)

    def _jacobian(self, tape: Any, x: Array, of_n: Array, without: frozenset[Pattern]) -> Array:
        """J x, of mean(n x) = of_n."""
        _, n, rho, k, *_ = tape
        centred = x if without & {Pattern.CONSTANT_STATISTICS, Pattern.NO_MEAN_TERM} else x - self.norm.mean(x)
        return rho * (centred - _kept(without) * k * n * of_n)

    def backward(self, tape, Ds, Dw, *, keep=False, below=True):
        """Sweep 2."""
        (gamma, n, *_, shape), mean = tape, self.norm.mean
        Ds = Ds.reshape(n.shape)
        _write_sums(Dw, Ds * n, Ds)
        Dn = gamma * Ds
        Da = self._jacobian(tape, Dn, mean(n, Dn), self.without)
        return Da.reshape(shape), (*tape, Ds, Da, mean(n, Dn))

    def r_forward(self, tape, u, Ra):
        """Sweep 3."""
        (gamma, n, _, _, _, shape, *_), (c, d), mean = tape, u, self.norm.mean
        Ra = 0 * n if Ra is None else self.norm.sets(Ra)
        Rn = self._jacobian(tape, Ra, mean(n, Ra), self.tangent)
        return (gamma * Rn + c * n + d).reshape(shape), (c, Ra, Rn, mean(n, Ra))

    def r_backward(self, tape, r_tape, RDs, RDw, *, below=True):
        """Sweep 4."""
        (gamma, n, rho, k, bend, shape, Ds, Da, adjoint), (c, Ra, Rn, tangent), mean = tape, r_tape, self.norm.mean
        RDs = RDs.reshape(n.shape)
        _write_sums(RDw, RDs * n + Ds * Rn, RDs)
        if Pattern.SAVED_STATISTICS in self.without:
            RDa = self._jacobian(tape, gamma * RDs, mean(n, gamma * RDs), self.without)
            return (RDa + rho * c * Ds - rho**2 * (tangent * gamma * Ds + adjoint * (Ra - mean(Ra)))).reshape(shape)
        RDn = gamma * RDs + c * Ds
        RDa = self._jacobian(tape, RDn, mean(n, RDn), self.without)
        RDa -= rho * k * _kept(self.tangent) * tangent * Da
        RDa -= rho * k * _kept(self.without) * (Rn * adjoint + n * mean(Rn, gamma * Ds) - bend * n * adjoint * tangent)
        return RDa.reshape(shape)


def _kept(without: frozenset[Pattern]) -> float:
    """0 if the variance is a constant."""
    return float(Pattern.CONSTANT_STATISTICS not in without)


def _write_sums(Dw: Any, *terms: Array) -> None:
    """Dgamma and Dbeta, or their R, each the sum of its terms over all but the channels."""
    for out, x in zip(Dw, terms, strict=True):
        out[...] = x.reshape(-1, x.shape[-1]).sum(axis=0)
