"""Failures that the scoreboard explains: which cells, what is wrong, whether it is known; a report for each."""

from typing import NamedTuple

FAULT, LIMITATION = "fault", "limitation"
SCALES = ("scales",)
FUSED = ("H layer_norm", "H batch_norm", "H instance_norm")


class Fault(NamedTuple):
    """A cause of wrong cells.

    Attributes
    ----------
    name : str
        The name of the report, reports/NAME.md.
    kind : str
        `FAULT`, or `LIMITATION`: the library documents it or reports the failure itself, or it is a convention.
    routes : tuple of (library, word)
        Rows: the library, and a word of the route.
    topics : tuple of str
    summary : str
        A sentence for the page.
    known : str
        Issues that describe it, as read there; empty if our search found none.
    """

    name: str
    kind: str
    routes: tuple[tuple[str, str], ...]
    topics: tuple[str, ...]
    summary: str
    known: str = ""


FAULTS = [
    Fault(
        "torch-forward-rules",
        FAULT,
        (("torch", "reverse over forward"), ("torch", "forward over forward")),
        FUSED,
        "A derivative of the forward-mode rule of layer_norm and batch_norm is wrong; nothing is raised.",
        "pytorch/pytorch #196700, #196699, #198017",
    ),
    Fault(
        "torch-vmap-norm",
        FAULT,
        (
            ("torch", "func.hessian"),
            ("torch", "jacrev(jacrev)"),
            ("curvlinops-for-pytorch", "Hessian"),
            ("laplace-torch", "CurvlinopsHessian"),
            ("nngeometry", "Hessian"),
        ),
        FUSED,
        "Under vmap the second derivative of layer_norm and batch_norm is wrong and not symmetric. The other three "
        "libraries use torch.func and inherit it.",
        "pytorch/functorch #534",
    ),
    Fault(
        "torch-mse-loss",
        FAULT,
        (("torch", "forward over reverse"), ("pydvl", "forward and reverse")),
        ("H squared error",),
        "jvp(grad(mse_loss)) raises 'ZeroTensors are immutable'. pyDVL inherits it.",
        "pytorch/pytorch #123996",
    ),
    Fault(
        "tensorflow-moments",
        FAULT,
        (("tensorflow_cpu", "over"), ("keras", "over")),
        (*FUSED, "H group_norm"),
        "The Hessian of the variance of tf.nn.moments lacks the term of the mean, behind stop_gradient. Keras's "
        "layers inherit it.",
    ),
    Fault(
        "scipy-minres",
        FAULT,
        (("scipy", "minres"),),
        ("tolerances", *SCALES),
        "minres returns info = 0 while the relative residual exceeds rtol; it can be 1.",
        "scipy/scipy #16868",
    ),
    Fault(
        "scipy-breakdown-threshold",
        FAULT,
        (("scipy", "bicg"), ("scipy", "cgs")),
        ("refhf.check_solver", *SCALES),
        "bicgstab, bicg and cgs report a breakdown for a small b, because the threshold eps^2 is absolute.",
    ),
    Fault(
        "pyamg-steepest-descent",
        FAULT,
        (("pyamg", "steepest_descent"),),
        ("b = 0", "x0 = solution"),
        "steepest_descent returns NaN if the first residual is zero.",
    ),
    Fault(
        "asdl-cg-zero",
        FAULT,
        (("asdfghjkl", "conjugate_gradient"),),
        ("refhf.check_solver", "b = 0", "x0 = solution"),
        "conjugate_gradient_method returns NaN if the first residual is zero.",
    ),
    Fault(
        "lineax-bicgstab-zero",
        FAULT,
        (("lineax", "BiCGStab"),),
        ("b = 0", "x0 = solution"),
        "BiCGStab returns NaN if the first residual is zero; CG and GMRES return the solution.",
    ),
    Fault(
        "lineax-scales",
        FAULT,
        (("lineax", "CG"), ("lineax", "GMRES")),
        SCALES,
        "CG gives NaN for a small A, GMRES a breakdown for a small b: both thresholds are absolute.",
    ),
    Fault(
        "jax-gmres-small-b",
        FAULT,
        (("jax", "gmres"), ("jaxopt", "gmres")),
        SCALES,
        "gmres returns x = 0 for a small b, without a word. JAXopt inherits it.",
    ),
    Fault(
        "octave-bicg",
        FAULT,
        (("octave", "bicg"),),
        ("tolerances", *SCALES),
        "bicg stops with flag 4 as soon as the residual grows, which is no breakdown.",
    ),
    Fault(
        "octave-pcr-scale",
        FAULT,
        (("octave", "pcr"),),
        SCALES,
        "pcr returns NaN with flag 0, convergence, for A times 2^120.",
    ),
    Fault(
        "linear-operator-eps",
        FAULT,
        (("linear_operator", "linear_cg"), ("curvlinops-for-pytorch", "CGInverse")),
        SCALES,
        "linear_cg takes b as zero if its norm is below 1e-10, and p'Ap below it. Only the second case warns.",
    ),
    Fault(
        "kfac-jax-new-jax",
        FAULT,
        (("kfac-jax", "Implicit"),),
        ("H cross-entropy", "H squared error", "G cross-entropy", "G squared error"),
        "kfac-jax 0.0.8 raises ValueError with JAX 0.10.2, which its requirements allow. With JAX 0.9.0 all four are "
        "right.",
    ),
    Fault(
        "hessianfree-softmax",
        LIMITATION,
        (("hessianfree", "calc_G"),),
        ("G cross-entropy",),
        "G is split at the probabilities, not at the pre-activations: with labels it is the empirical Fisher matrix.",
    ),
    Fault(
        "curvlinops-group-norm",
        LIMITATION,
        (("curvlinops-for-pytorch", "Hessian"), ("laplace-torch", "CurvlinopsHessian")),
        ("H group_norm",),
        "The Hessian raises NotImplementedError for GroupNorm: PyTorch has no forward mode of its fused backward.",
    ),
    Fault(
        "cola-small-value",
        LIMITATION,
        (("cola-ml", "cg"),),
        SCALES,
        "cg replaces numbers below 1e-40 in its divisions, which A times 2^-120 reaches.",
    ),
    Fault(
        "scipy-fmin-cg-scales",
        LIMITATION,
        (("scipy", "fmin_cg"),),
        SCALES,
        "The line search loses precision on scaled quadratics; it says so by flag 2.",
    ),
]


def explain(library: str, route: str, topic: str) -> Fault | None:
    """The fault that explains a wrong cell, if any."""
    for fault in FAULTS:
        if topic in fault.topics and any(library == name and word in route for name, word in fault.routes):
            return fault
    return None
