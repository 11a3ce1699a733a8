"""The report of a step: what every method says in the same words, what was spent, and a detail of the family."""

import math
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from refhf.krylov.arithmetic import norm
from refhf.model.blocks import Array
from refhf.objective.protocol import Objective
from refhf.text import Word


class Outcome(Word):
    """The outcome of a step; the value is a sentence."""

    ACCEPTED = "The step was taken."
    STATIONARY = "The gradient is zero to its tolerance; no step was tried."
    NO_DECREASE = "No step length satisfied the line search's conditions; theta is unchanged."
    POOR_RATIO = "The step did not reach the decrease that its model predicted; theta is unchanged, the radius shrinks."
    NO_MINIMUM = "f has no minimum along the direction, d'Hd <= 0; theta is unchanged."
    NOT_DESCENT = "The direction has g'd = 0 or is not a descent direction; theta is unchanged."
    NON_FINITE = "The value, the gradient or the direction is not finite; theta is unchanged."


class LossAt(Word):
    """The point and the cases at which a report's loss was measured; the value is a sentence."""

    END = "f of all cases, at the point after the step."
    START = "f of the step's cases, at the point where the step started."
    REPLICAS = "The mean of the replicas' losses, each at its own point and on its own cases."


class Kind(Word):
    """The kind of a stationary point, by its Hessian; the value ends a sentence."""

    MINIMUM = "a minimum"
    NOT_A_MINIMUM = "not a minimum"
    DEGENERATE = "of a kind that the Hessian does not decide"
    UNKNOWN = "of unknown kind"


class Source(Word):
    """The source of a step's direction; the value is a sentence.

    All but the `random` ones are combinations of the gradient and of products with it: a component that is zero in
    all of these stays zero.
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
        """True if something other than the gradient went into the direction."""
        return self in (Source.PROBE, Source.RANDOM_START, Source.NOISE, Source.REPLICAS)


class Counts(NamedTuple):
    """The work of a run so far.

    Attributes
    ----------
    value_evaluations, gradient_evaluations, curvature_products : int
        Calls, on whatever number of cases.
    epochs : float
        Effective passes over the data: each call counts its cases over all cases (He et al. 2016, section 5).
    communications, bytes_communicated : int
        Reductions over ranks, and the bytes they carried; 0 on one process. Their seconds, which differ from rank to
        rank, are in `comm.traffic`.
    """

    value_evaluations: int = 0
    gradient_evaluations: int = 0
    curvature_products: int = 0
    epochs: float = 0.0
    communications: int = 0
    bytes_communicated: int = 0


class NoDetail(NamedTuple):
    """The detail of a family that has nothing to add."""


Detail = TypeVar("Detail", bound=NamedTuple)


class Report(NamedTuple, Generic[Detail]):
    """One step of a method.

    Attributes
    ----------
    k : int
        1 for the first step.
    theta : ndarray (P,)
        The point after the step.
    loss : float
        f, measured where `loss_at` says.
    loss_at : LossAt
    gradient_norm : float
        ||g|| where the step started, of the step's cases.
    outcome : Outcome
    detail : NamedTuple
        What only the method's family reports, such as `refhf.methods.hessian_free.hf_step.HessianFreeDetail`.
    step_length : float
        The factor of the direction; 0 if the step was rejected.
    source : Source
        The source of the step's direction.
    negative_curvature : bool
        Whether a direction d with d'Bd <= 0 was met, B the step's matrix (damped, if the method damps it). A method
        without a matrix meets none.
    negative_direction : ndarray (P,) or None
        That direction, where the method forms it.
    smallest_eigenvalue : float
        Of the Hessian where the step started, as far as the method knows it; NaN if it does not.
    kind : Kind
        Where the outcome is stationary, the kind of the point.
    counts : Counts
        The work of the run so far.
    """

    k: int
    theta: Array
    loss: float
    loss_at: LossAt
    gradient_norm: float
    outcome: Outcome
    detail: Detail
    step_length: float = 0.0
    source: Source = Source.NONE
    negative_curvature: bool = False
    negative_direction: Array | None = None
    smallest_eigenvalue: float = math.nan
    kind: Kind = Kind.UNKNOWN
    counts: Counts = Counts()

    def __repr__(self) -> str:
        said = {
            f"loss at the {self.loss_at}": self.loss,
            "gradient norm": self.gradient_norm,
            "step length": self.step_length,
        }
        if not math.isnan(self.smallest_eigenvalue):
            said["smallest eigenvalue"] = self.smallest_eigenvalue
        words = [f"step {self.k}: {self.outcome}", *(f"{name} {x:.6g}" for name, x in said.items()), str(self.source)]
        lines = [", ".join([*words, *["negative curvature"] * self.negative_curvature])]
        for part in self.detail._asdict(), self.counts._asdict():
            told = [f"{name} {x:.6g}" if isinstance(x, float) else f"{name} {x}" for name, x in part.items()]
            lines += [f"  {', '.join(told)}".replace("_", " ")] * bool(told)
        return "\n".join(lines)

    @property
    def accepted(self) -> bool:
        """True if theta moved."""
        return self.outcome is Outcome.ACCEPTED

    @property
    def sentence(self) -> str:
        """The outcome's sentence; at a stationary point of known kind, the kind and the smallest eigenvalue."""
        if self.outcome is not Outcome.STATIONARY or self.kind is Kind.UNKNOWN:
            return self.outcome.value
        return f"Stationary, {self.kind.value}: smallest eigenvalue {self.smallest_eigenvalue:.6g}."

    def detailed(self, **fields: Any) -> "Report[Detail]":
        """The report with these fields of its detail replaced."""
        return self._replace(detail=self.detail._replace(**fields))

    def counted(self, counts: Counts) -> "Report[Detail]":
        """The report with an objective's counts, to which a method's own communication is added."""
        own = self.counts
        return self._replace(
            counts=counts._replace(
                communications=counts.communications + own.communications,
                bytes_communicated=counts.bytes_communicated + own.bytes_communicated,
            )
        )

    def record(self) -> dict[str, Any]:
        """The report as a history keeps it: a flat dict of plain values, without vectors; enumerations are words."""
        fields = {"step": self.k, **self._asdict(), **self.detail._asdict(), **self.counts._asdict()}
        left_out = "k", "theta", "negative_direction", "detail", "counts"
        kept = {name: value for name, value in fields.items() if name not in left_out}
        return {name: str(value) if isinstance(value, Word) else value for name, value in kept.items()}


class Beginning(NamedTuple, Generic[Detail]):
    """The value and gradient where a step starts.

    Attributes
    ----------
    f : float
    g : ndarray (P,)
    report : Report
        The report of a step that fails; a step that does better replaces its fields.
    over : bool
        Whether the step ends here: f or g is not finite, or g is zero.
    """

    f: float
    g: Array
    report: Report[Detail]
    over: bool


def begin(
    objective: Objective, theta: Array, k: int, loss_at: LossAt, detail: Detail, *, ends_at_zero: bool = True
) -> Beginning[Detail]:
    """f and g at theta, and the report of step k; a zero gradient ends the step unless `ends_at_zero` is False."""
    f, g = objective.value_and_gradient(theta)
    report = Report(k, theta, f, loss_at, norm(g), Outcome.NON_FINITE, detail)
    if not (math.isfinite(f) and math.isfinite(report.gradient_norm)):
        return Beginning(f, g, report, True)
    if ends_at_zero and report.gradient_norm == 0:
        return Beginning(f, g, report._replace(outcome=Outcome.STATIONARY), True)
    return Beginning(f, g, report, False)


State = TypeVar("State", bound=NamedTuple)


def taken(
    state: State, report: Report[Detail], theta: Array, loss: float, step_length: float, after: State | None = None
) -> tuple[State, Report[Detail]]:
    """The state and report of an accepted step to theta (P,); both unchanged if theta is not finite.

    `after` is the state whose theta is replaced, where more than theta changes.
    """
    if not np.isfinite(theta).all():
        return state, report
    moved = report._replace(theta=theta, loss=loss, step_length=step_length, outcome=Outcome.ACCEPTED)
    return (after or state)._replace(theta=theta), moved
