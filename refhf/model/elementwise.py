"""Elementwise nonlinearities a = f(s), each with its first two derivatives.

Records of three functions of the pre-activation s, of any shape and of any float or complex type:
f, d = f' and dd = f''. Complex arguments are what makes the complex-step oracle possible
(Squire and Trapp 1998), so the analytic four use no absolute value and no comparison.
The functions are this module's or NumPy's, no lambdas, so that networks can be pickled.
What underflows is zero, as it should be, and harmless: `np.seterr(under="raise")` does not apply here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import scipy  # pyright: ignore[reportMissingTypeStubs] # SciPy has none; it loads scipy.special at first use

from refhf.model.blocks import Array, Shape, Tape, Weightless, Weights

harmless_underflow = np.errstate(under="ignore")

Elementwise = Callable[[Array], Array]


class Nonlinearity(NamedTuple):
    """An elementwise function with its derivatives.

    Attributes
    ----------
    name : str
    f, d, dd : callable
        f(s), f'(s), f''(s); each keeps shape and dtype.
    analytic : bool
        Whether f extends to complex s, so that a complex step differentiates it to rounding.
    """

    name: str
    f: Elementwise
    d: Elementwise
    dd: Elementwise
    analytic: bool = True


@harmless_underflow
def _exp_minus_abs(s: Any) -> Array:
    """e^-|s|, with |s| read off the real part: never overflows."""
    return np.exp(np.where(s.real > 0, cast(Array, -s), s))


@harmless_underflow
def _logistic(s: Any) -> Array:
    e = _exp_minus_abs(s)
    return np.where(s.real > 0, 1, e) / (1 + e)


@harmless_underflow
def _logistic_d(s: Array) -> Array:
    e = _exp_minus_abs(s)
    return e / (1 + e) ** 2


@harmless_underflow
def _logistic_dd(s: Array) -> Array:
    return -np.tanh(0.5 * s) * _logistic_d(s)  # f'(1 - 2f), and 1 - 2f = -tanh(s/2)


@harmless_underflow
def _softplus(s: Any) -> Array:
    """log(1 + e^s) = max(s, 0) + log(1 + e^-|s|)."""
    return np.where(s.real > 0, s, 0) + np.log1p(_exp_minus_abs(s))


@harmless_underflow
def _tanh_d(s: Array) -> Array:
    return 1 - np.tanh(s) ** 2


@harmless_underflow
def _tanh_dd(s: Array) -> Array:
    return -2 * np.tanh(s) * _tanh_d(s)


def _identity(s: Array) -> Array:
    return s


def _relu(s: Array) -> Array:
    return np.maximum(s, 0)


def _relu_d(s: Array) -> Array:
    return (s > 0).astype(s.dtype)


tanh = Nonlinearity("tanh", np.tanh, _tanh_d, _tanh_dd)
logistic = Nonlinearity("logistic", _logistic, _logistic_d, _logistic_dd)
softplus = Nonlinearity("softplus", _softplus, _logistic, _logistic_d)
identity = Nonlinearity("identity", _identity, np.ones_like, np.zeros_like)

# Our choice at the kink: f'(0) = 0. f'' = 0 everywhere, as in every automatic differentiator.
relu = Nonlinearity("relu", _relu, _relu_d, np.zeros_like, analytic=False)


@harmless_underflow
def _normal(s: Array) -> tuple[Array, Array]:
    """The standard normal density and distribution at s."""
    return np.exp(-0.5 * s * s) / math.sqrt(2 * math.pi), 0.5 * scipy.special.erfc(-s / math.sqrt(2))


@harmless_underflow
def _gelu(s: Array) -> Array:
    return s * _normal(s)[1]


@harmless_underflow
def _gelu_d(s: Array) -> Array:
    density, distribution = _normal(s)
    return distribution + s * density


@harmless_underflow
def _gelu_dd(s: Array) -> Array:
    return _normal(s)[0] * (2 - s * s)


@harmless_underflow
def _gelu_inside(s: Array) -> tuple[Array, Array, Array]:
    """w = 2 sqrt(2/pi) (s + 0.044715 s^3), w' and w''; (1 + tanh(w/2)) / 2 is the logistic function of w."""
    c, k = 2 * math.sqrt(2 / math.pi), 0.044715
    return c * (s + k * s**3), c * (1 + 3 * k * s * s), 6 * c * k * s


@harmless_underflow
def _gelu_tanh(s: Array) -> Array:
    return s * _logistic(_gelu_inside(s)[0])


@harmless_underflow
def _gelu_tanh_d(s: Array) -> Array:
    w, dw, _ = _gelu_inside(s)
    return _logistic(w) + s * dw * _logistic_d(w)


@harmless_underflow
def _gelu_tanh_dd(s: Array) -> Array:
    w, dw, ddw = _gelu_inside(s)
    return (2 * dw + s * ddw) * _logistic_d(w) + s * dw * dw * _logistic_dd(w)


@harmless_underflow
def _silu(s: Array) -> Array:
    return s * _logistic(s)


@harmless_underflow
def _silu_d(s: Array) -> Array:
    return _logistic(s) + s * _logistic_d(s)


@harmless_underflow
def _silu_dd(s: Array) -> Array:
    return 2 * _logistic_d(s) + s * _logistic_dd(s)


# s Phi(s), Phi the normal distribution (Hendrycks and Gimpel 2016, eq. 1); f'' = phi (2 - s^2).
gelu = Nonlinearity("gelu", _gelu, _gelu_d, _gelu_dd)
# The approximation of gelu, s (1 + tanh u) / 2 (Hendrycks and Gimpel 2016, section 2).
gelu_tanh = Nonlinearity("gelu_tanh", _gelu_tanh, _gelu_tanh_d, _gelu_tanh_dd)
# s logistic(s) (Hendrycks and Gimpel 2016, section 2; Ramachandran, Zoph and Le 2017).
silu = Nonlinearity("silu", _silu, _silu_d, _silu_dd)

NONLINEARITIES = {n.name: n for n in (tanh, logistic, softplus, relu, identity, gelu, gelu_tanh, silu)}


@dataclass(frozen=True)
class Activation(Weightless):
    """The block a = f(s), elementwise.

    Attributes
    ----------
    nonlinearity : Nonlinearity
    """

    nonlinearity: Nonlinearity

    def __repr__(self) -> str:
        return f"Activation({self.nonlinearity.name!r})"

    def out_shape(self, in_shape: Shape) -> Shape:
        """The same."""
        return in_shape

    def tape_numbers(self, in_shape: Shape) -> int:
        """The numbers of a, f'(s) and Da f''(s); s is dropped once the last is made."""
        return 3 * math.prod(in_shape)

    def forward(self, w: Weights, s: Array, *, order: int = 2) -> tuple[Array, Tape]:
        """Sweep 1; the tape is f'(s), and s for f''(s)."""
        a = self.nonlinearity.f(s)  # a = f(s)
        if order == 0:
            return a, ()
        slope = self.nonlinearity.d(s)
        return a, (slope, s) if order == 2 else (slope,)

    def backward(self, tape: Tape, Da: Array, Dw: Weights, *, keep: bool = False, below: bool = True) -> Any:
        """Sweep 2; the tape is f'(s) and Da f''(s)."""
        slope, *s = tape
        return Da * slope, (slope, Da * self.nonlinearity.dd(*s)) if keep else None  # Ds = Da f'(s)

    def r_forward(self, tape: Tape, u: Weights, Rs: Any) -> tuple[Any, Tape]:
        """Sweep 3; the r_tape is Rs."""
        return tape[0] * Rs, Rs  # Ra = f'(s) Rs

    def r_backward(self, tape: Tape, Rs: Tape, RDa: Array, RDw: Weights, *, below: bool = True) -> Any:
        """Sweep 4."""
        slope, bend = tape
        RDs = RDa * slope
        RDs += bend * Rs  # RDs = RDa f'(s) + Da f''(s) Rs
        return RDs
