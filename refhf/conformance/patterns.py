"""The known mistakes, each a sentence for the user."""

from typing import NamedTuple

from refhf.text import Word


class Pattern(Word):
    """A known mistake; the value is a sentence for the user."""

    RAISES = "It raises an exception."
    UNSUPPORTED = "Its framework lacks a derivative: the function is neither right nor wrong."
    PRINTS = "It prints to standard output."
    MODIFIES_INPUT = "It modifies its arguments."
    WRONG_SHAPE = "Its result has the wrong shape."
    WRONG_DTYPE = "Its result has the wrong dtype."
    NOT_FINITE = "Its result contains NaN or Inf."
    RANDOM = "The same call gives a different result: it draws random numbers."
    ACCUMULATES = "Each call adds to the result of the one before, as PyTorch's .grad does until it is set to zero."
    GAUSS_NEWTON = "This is the Gauss-Newton product, not the Hessian product."
    HESSIAN = "This is the Hessian product, not the Gauss-Newton product."
    FISHER = "This is the empirical Fisher matrix: outer products of the gradients of single cases."
    MONTE_CARLO_FISHER = (
        "This is a Monte-Carlo Fisher matrix, of labels drawn from the model; not the Gauss-Newton matrix."
    )
    KRONECKER = "This is KFAC: blocks A kron S of single layers that approximate the Gauss-Newton matrix."
    LAYERS_ALONE = "The blocks of single layers are right, and those between layers are zero."
    NO_LOSS_HESSIAN = "This is J'J v: the Hessian H_L of the loss is missing."
    SOFTMAX_DIAGONAL = "The softmax Hessian diag(p) - pp' is reduced to its diagonal p(1 - p)."
    SOFTMAX_NO_OUTER = "The softmax Hessian diag(p) - pp' is reduced to diag(p)."
    AT_PROBABILITIES = "The Gauss-Newton matrix is split at the probabilities, not at the pre-activations z."
    NO_BEND = "The f'' term is missing: R{Ds} = R{Da} f' + Da f'' Rs."
    NO_INPUT_TERM = "R{DW} = a' R{Ds} + R{a}' Ds lacks R{a}' Ds."
    NO_DELTA_TERM = "R{DW} = a' R{Ds} + R{a}' Ds lacks a' R{Ds}."
    NO_WEIGHT_TERM = "R{Da} = R{Ds} W' + Ds V' lacks Ds V'."
    NO_BACK_TERM = "R{Da} = R{Ds} W' + Ds V' lacks R{Ds} W'."
    NO_DIRECTION = "R{s} = a V + R{a} W + c lacks a V."
    NO_FORWARD_TERM = "R{s} = a V + R{a} W + c lacks R{a} W."
    NO_BIAS_DIRECTION = "R{s} = a V + R{a} W + c lacks c: the bias part of v is ignored."
    NO_FORWARD_SLOPE = "R{a} = f' R{s} lacks f'."
    NO_BACKWARD_SLOPE = "Ds = Da f' lacks f'."
    SLOPE_OF_ACTIVATION = "f' is taken at the activation a instead of at the pre-activation s."
    CONSTANT_STATISTICS = "The mean and variance of a normalisation are differentiated as constants."
    NO_MEAN_TERM = "R{n} = rho (R{a} - mean(R{a}) - n mean(n R{a})) of a normalisation lacks mean(R{a})."
    SAVED_STATISTICS = (
        "R{n} of a normalisation is differentiated with mean and rho constant, as PyTorch does forward mode first."
    )
    EPSILON_OUTSIDE = "A normalisation divides by sqrt(variance) + epsilon, not by sqrt(variance + epsilon)."
    UNBIASED_VARIANCE = "A normalisation takes the unbiased variance, of m - 1, and not the mean square."
    NO_ROW_SUM = "R{P} = P (R{S} - rowsum(P R{S})) of attention's softmax lacks rowsum(P R{S})."
    MASK_AFTER_SOFTMAX = "The causal mask is applied after attention's softmax: the rows of P do not sum to 1."
    NO_SOFTMAX = "The softmax or logistic function is missing in the residual."
    WRONG_LOSS = "It belongs to another loss."
    LAYOUT_OUT_IN = "W is laid out (out, in). If this is intended, pass layout='out-in'."
    LAYOUT_IN_OUT = "W is laid out (in, out): omit layout='out-in'."
    RESULT_OUT_IN = "theta is read correctly, but W in the result is laid out (out, in)."
    BIAS_FIRST = "The bias of each layer precedes its weights."
    ZERO_PART = "Part of the result is always zero."
    SIGN = "The sign is wrong."
    SUM_NOT_MEAN = "It is too large by the batch size: the sum over the cases instead of the mean."
    MEAN_TWICE = "It is too small by the batch size: the mean is taken twice."
    MEAN_NOT_SUM = "It is too small by the batch size: the mean over the cases instead of the sum."
    FACTOR = "It is wrong by a factor."
    ARGUMENT = "It returns a multiple of its argument: the function does not enter."
    NO_DECAY = "Weight decay is missing: l2 theta in the gradient, l2 v in a product."
    DECAY_WRONG = (
        "Weight decay has a coefficient other than l2, as from l2 for l2/2 or from a division by the batch size."
    )
    DAMPED = "A multiple of the identity is added: damping inside the product."
    STALE = "It uses the first theta it was called with: a stale tape."
    FLOAT32 = "It agrees to float32 precision only: it computes in float32."
    DIFFERENCES = "It is not linear in v and agrees to a few digits only: a finite difference."
    NOISE = "It agrees to a few digits only, without a pattern: noise, low precision, or an approximation."
    NOT_SYMMETRIC = "It is not symmetric."
    INDEFINITE = "It is not positive semidefinite."
    X0_IGNORED = "x0 is ignored."
    X0_RESIDUAL = "The first residual is b, not b - A x0."
    PRECONDITIONER_IGNORED = "M is ignored."
    PRECONDITIONER_INVERTED = "M is inverted: M approximates the inverse of A, not A."
    PRECONDITIONED_FIRST = "The first r'z is r'r: M is applied one iteration late."
    FIRST_RESIDUAL = "Convergence is tested relative to the first residual, not to ||b||."
    PRECONDITIONED_NORM = "Convergence is tested with the preconditioned residual, not with ||b - A x||."
    ONE_TOO_FEW = "It does one iteration fewer than maxiter."
    ONE_TOO_MANY = "It does one iteration more than maxiter."
    BETA = "beta is wrong."
    ALPHA = "The step length alpha is wrong."
    RESIDUAL_NOT_UPDATED = "The residual is not updated."
    OLD_RESIDUAL = "The new direction uses the old residual."
    STEEPEST = "beta is 0: this is steepest descent."
    TRANSPOSED = "A' is applied instead of A."
    OMEGA = "The stabilising step (omega, He's gamma) is wrong."
    NO_STABILISER = "The stabilising step is missing in x or in p."
    SHADOW = "The shadow residual r0* changes, or is not r_0."
    OTHER_SOLVER = "It is a different solver."
    ABSOLUTE = "rtol is used as an absolute tolerance, or a breakdown threshold is absolute."
    CLAIMS = "It reports convergence (info = 0), but the true residual b - A x is too large."
    NEVER_CLAIMS = "It converges but does not report it (info = 0)."
    NEVER_STOPS = "It continues after the tolerance is met, or never returns."


class Cause(NamedTuple):
    """A pattern, a measured detail such as the factor, and other causes that have the same results here."""

    pattern: Pattern
    detail: str = ""
    equals: tuple["Cause", ...] = ()

    def __str__(self) -> str:
        shown = f"{self.pattern.value} ({self.detail})" if self.detail else self.pattern.value
        return " Or, which is the same here: ".join([shown, *map(str, self.equals)])
