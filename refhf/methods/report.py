"""What a step tells: the one vocabulary of outcomes and reports that all methods share."""

import math
from enum import Enum
from typing import NamedTuple

import numpy as np

from refhf.krylov.arithmetic import norm
from refhf.krylov.stopping import Stop
from refhf.objective.protocol import Objective


class Word(Enum):
    """An enumeration whose members print as plain words."""

    def __str__(self):
        return self.name.lower().replace("_", " ")


class Outcome(Word):
    """What became of a step; the value is a sentence."""

    ACCEPTED = "The step was taken."
    STATIONARY = "The gradient is zero to its tolerance; no step was tried."
    NO_DECREASE = "No step length satisfied the line search's conditions; theta is unchanged."
    POOR_RATIO = "The step did not keep what its model promised; theta is unchanged, the trust region shrinks."
    NO_MINIMUM = "f has no minimum along the direction, d'Hd <= 0; theta is unchanged."
    NOT_DESCENT = "The direction has g'd = 0 or is not a descent direction; theta is unchanged."
    NON_FINITE = "The value, the gradient or the direction is not finite; theta is unchanged."


class Kind(Word):
    """What a stationary point is, by its Hessian; the value ends a sentence."""

    MINIMUM = "a minimum"
    NOT_A_MINIMUM = "not a minimum"
    DEGENERATE = "of a kind that the Hessian does not decide"
    UNKNOWN = "of unknown kind"


class Source(Word):
    """What gave a step its direction; the value is a sentence.

    All but the `random` ones are made of the gradient and products with it: what those leave at zero stays zero.
    """

    NONE = "There was no direction."
    GRADIENT = "Minus the gradient."
    KRYLOV = "A combination of g, Hg, H^2 g, ...: what a solver made of the gradient."
    NEWTON = "Minus the gradient, along each eigenvector of H divided by its eigenvalue."
    SADDLE_FREE = "Minus the gradient, along each eigenvector of H divided by its eigenvalue's size."
    NEGATIVE_CURVATURE = "Negative curvature that conjugate gradients met, starting from the gradient."
    PROBE = "Negative curvature that Lanczos found, starting from a random vector, and a Newton step."
    RANDOM_START = "A solver that started from a random vector."
    NOISE = "Minus the gradient, and noise."
    MOMENTUM = "Minus the gradients so far, the older the less."
    CONJUGATE = "Minus the gradient, scaled or not, and a part of the direction before."
    REPLICAS = "Minus the gradient, its part in the span of the replicas' differences over the curvature they show."

    @property
    def random(self) -> bool:
        """Whether something other than the gradient went into the direction."""
        return self in (Source.PROBE, Source.RANDOM_START, Source.NOISE, Source.REPLICAS)


class Secant(Word):
    """What a preconditioner made of the last step s and its change of gradient y; the value is a sentence."""

    NONE = "There is no preconditioner, or no step before."
    USED = "The diagonal was updated."
    NO_CURVATURE = "y's is negative or too small; the diagonal is unchanged."
    NO_STEP = "s'Hs is too small; the diagonal is unchanged."

    @property
    def skipped(self) -> bool:
        """Whether there was a step before, and the update was left out."""
        return self in (Secant.NO_CURVATURE, Secant.NO_STEP)


class Counts(NamedTuple):
    """What a run has spent so far.

    Attributes
    ----------
    value_evaluations, gradient_evaluations, curvature_products : int
        Calls, on whatever number of cases.
    epochs : float
        Effective passes over the data: each call counts its cases over all cases (He et al. 2016, section 5).
    communications, bytes_communicated : int
        Reductions over ranks, and what they carried; 0 on one process. Their seconds, which differ from rank to rank,
        are in `comm.traffic`.
    """

    value_evaluations: int = 0
    gradient_evaluations: int = 0
    curvature_products: int = 0
    epochs: float = 0.0
    communications: int = 0
    bytes_communicated: int = 0


class Report(NamedTuple):
    """One step of a method.

    Attributes
    ----------
    k : int
        1 for the first step.
    theta : ndarray (P,) or None
        The point after the step; None in a `history`.
    loss : float
        f at `theta`; of the gradient methods f where the step started, of the mini-batch if they are stochastic.
    gradient_norm : float
        ||g|| where the step started (of the mini-batch for the stochastic methods).
    outcome : Outcome
    step_length : float
        What the direction was multiplied with; 0 if the step was rejected.
    damping, rho : float
        lambda that the step was computed with, and its reduction ratio.
    solver_iterations, solver_stop : int, Stop or None
    negative_curvature : bool
        Whether a direction d with d'Bd <= 0 was met, B the damped matrix of the step.
    negative_direction : ndarray (P,) or None
        That direction; None in a `history`.
    curvature : str
        'hessian' or 'gauss-newton', the matrix of this step; empty where there is none.
    source : Source
        What gave the step its direction.
    smallest_eigenvalue : float
        Of the Hessian where the step started, as far as the method knows it; NaN if it does not.
    kind : Kind
        Where the outcome is stationary, of what kind the point is.
    beta : float
        How much of the direction before went into this one.
    rate_scale : float
        alpha^s, by which an online line search multiplies the learning rate.
    secant : Secant or `refhf.methods.replicas.secants.Differences`
    skipped, floored : int
        Running counts of a preconditioner's guards: updates left out, and components raised to its floor.
    value_evaluations ... bytes_communicated
        Running counts, see `Counts`.
    """

    k: int
    theta: np.ndarray | None
    loss: float
    gradient_norm: float
    outcome: Outcome
    step_length: float
    damping: float = float("nan")
    rho: float = float("nan")
    solver_iterations: int = 0
    solver_stop: Stop | None = None
    negative_curvature: bool = False
    negative_direction: np.ndarray | None = None
    curvature: str = ""
    source: Source = Source.NONE
    smallest_eigenvalue: float = float("nan")
    kind: Kind = Kind.UNKNOWN
    beta: float = float("nan")
    rate_scale: float = float("nan")
    secant: Word = Secant.NONE
    skipped: int = 0
    floored: int = 0
    value_evaluations: int = 0
    gradient_evaluations: int = 0
    curvature_products: int = 0
    epochs: float = 0.0
    communications: int = 0
    bytes_communicated: int = 0

    @property
    def accepted(self) -> bool:
        """Whether theta moved."""
        return self.outcome is Outcome.ACCEPTED

    @property
    def sentence(self) -> str:
        """The outcome's sentence; at a stationary point whose kind is known, that and the smallest eigenvalue."""
        if self.outcome is not Outcome.STATIONARY or self.kind is Kind.UNKNOWN:
            return self.outcome.value
        return f"Stationary, {self.kind.value}: smallest eigenvalue {self.smallest_eigenvalue:.6g}."

    def counted(self, counts: Counts) -> "Report":
        """The report with an objective's counts, to which a method's own communication is added."""
        return self._replace(
            **counts._replace(
                communications=counts.communications + self.communications,
                bytes_communicated=counts.bytes_communicated + self.bytes_communicated,
            )._asdict()
        )

    def scalars(self) -> "Report":
        """The report without its vectors, as a history keeps it."""
        return self._replace(theta=None, negative_direction=None)


class Beginning(NamedTuple):
    """Where a step starts.

    Attributes
    ----------
    f : float
    g : ndarray (P,)
    report : Report
        Of a step that fails, until it does better.
    over : bool
        Whether the step ends here: f or g is not finite, or g is zero.
    """

    f: float
    g: np.ndarray
    report: Report
    over: bool


def begin(objective: Objective, theta, k: int, damping=math.nan, curvature="", *, ends_at_zero=True) -> Beginning:
    """f and g at theta, and the report of step k; a zero gradient ends the step unless `ends_at_zero` is False."""
    f, g = objective.value_and_gradient(theta)
    report = Report(k, theta, f, norm(g), Outcome.NON_FINITE, 0.0, damping, curvature=curvature)
    if not (math.isfinite(f) and math.isfinite(report.gradient_norm)):
        return Beginning(f, g, report, True)
    if ends_at_zero and report.gradient_norm == 0:
        return Beginning(f, g, report._replace(outcome=Outcome.STATIONARY), True)
    return Beginning(f, g, report, False)


def taken(state, report: Report, theta, loss: float, step_length: float):
    """The state and the report of a step that was taken, to theta (P,); as they are where that is not finite."""
    if not np.isfinite(theta).all():
        return state, report
    moved = report._replace(theta=theta, loss=loss, step_length=step_length, outcome=Outcome.ACCEPTED)
    return state._replace(theta=theta), moved
