"""Layers and activations with terms left out of their sweeps, as known mistakes compute them."""

from dataclasses import dataclass
from typing import Any

from refhf.conformance.patterns import Pattern
from refhf.model.bilinear import Bilinear
from refhf.model.elementwise import Activation


@dataclass(frozen=True)
class MistakenActivation(Activation):
    """An activation with some terms missing from its sweeps."""

    without: frozenset[Pattern] = frozenset()

    def forward(self, w, s, *, order=2):
        """Sweep 1."""
        a, (slope, *rest) = super().forward(w, s, order=order)
        return a, (self.nonlinearity.d(a) if Pattern.SLOPE_OF_ACTIVATION in self.without else slope, *rest)

    def backward(self, tape, Da, Dw, *, keep=False, below=True):
        """Sweep 2."""
        Ds, tape = super().backward(tape, Da, Dw, keep=keep, below=below)
        return Da if Pattern.NO_BACKWARD_SLOPE in self.without else Ds, tape

    def r_forward(self, tape, u, Rs):
        """Sweep 3."""
        Ra, _ = super().r_forward(tape, u, Rs)
        return Rs if Pattern.NO_FORWARD_SLOPE in self.without else Ra, Rs

    def r_backward(self, tape, Rs, RDa, RDw, *, below=True):
        """Sweep 4."""
        slope, bend = tape
        RDs = RDa if Pattern.NO_BACKWARD_SLOPE in self.without else RDa * slope
        return RDs if Pattern.NO_BEND in self.without else RDs + bend * Rs


@dataclass(frozen=True)
class MistakenLayer:
    """A dense or convolutional layer with some terms missing from its R-sweeps."""

    layer: Bilinear
    without: frozenset[Pattern]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "layer":
            raise AttributeError(name)
        return getattr(self.layer, name)

    def r_forward(self, tape, u, Rx):
        """Sweep 3."""
        (W, x, *_), (V, *c), layer = tape, u, self.layer
        Rs = (Pattern.NO_DIRECTION not in self.without) * layer.product(V, x)
        if Rx is not None and Pattern.NO_FORWARD_TERM not in self.without:
            Rs = Rs + layer.product(W, Rx)
        if Pattern.NO_BIAS_DIRECTION not in self.without:
            Rs = Rs + sum(c)
        return Rs, (V, Rx)

    def r_backward(self, tape, r_tape, RDs, RDw, *, below=True):
        """Sweep 4."""
        (W, x, Ds), (V, Rx), (RDW, *RDb), layer = tape, r_tape, RDw, self.layer
        RDW[...] = (Pattern.NO_DELTA_TERM not in self.without) * layer.adjoint_weight(x, RDs)
        if Rx is not None and Pattern.NO_INPUT_TERM not in self.without:
            RDW += layer.adjoint_weight(Rx, Ds)
        if RDb:
            RDb[0][...] = RDs.reshape(-1, RDb[0].size).sum(axis=0)
        if not below:
            return None
        RDx = (Pattern.NO_BACK_TERM not in self.without) * layer.adjoint_input(W, RDs)
        return RDx if Pattern.NO_WEIGHT_TERM in self.without else RDx + layer.adjoint_input(V, Ds)
