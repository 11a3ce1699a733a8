"""`refhf check`: checks a user-supplied function of a file against the reference."""

import contextlib
import importlib.util
import sys
from pathlib import Path

from refhf import checks
from refhf.conformance.check_report import CheckReport, escaped
from refhf.conformance.checkers.network_checker import check_network
from refhf.conformance.checkers.solver_checker import check_solver
from refhf.conformance.checkers.user_function import in_a_line
from refhf.conformance.recipes.compare_recipes import compare_recipes
from refhf.conformance.recipes.recipe_report import RecipeReport
from refhf.lab.cli.argument_types import integer_above_0, list_of, real_number, whole_number
from refhf.lab.runs import output_folder
from refhf.model.architectures import mlp
from refhf.model.elementwise import NONLINEARITIES
from refhf.model.losses import LOSSES
from refhf.text import columns

FUNCTIONS = {  # value of --against: (key of check_network, signature)
    "hessian": ("hessian_product", "NAME(theta, v, X, y) -> H v (P,)"),
    "gauss-newton": ("gauss_newton_product", "NAME(theta, v, X, y) -> G v (P,)"),
    "gradient": ("gradient", "NAME(theta, X, y) -> (P,)"),
    "value": ("value", "NAME(theta, X, y) -> float"),
    "jvp": ("jvp", "NAME(theta, v, X) -> J v (B, n_L)"),
    "vjp": ("vjp", "NAME(theta, u, X) -> J'u (P,)"),
}
SOLVERS = dict.fromkeys(("cg", "bicgstab"), "x, info = NAME(A, b, x0=..., rtol=..., maxiter=..., M=...)")
RECIPES = {"recipes": "NAME() -> (model, loss, X, y) of PyTorch, or (model, loss, X, y, params) of JAX"}
SIZES = "5,4,4,3"  # our choice: small, with a square layer in which a transposed W shows
EXAMPLE = """\
example: check that hvp in mine.py is the product with the Hessian; a failure comes with a diagnosis
  refhf check mine.py:hvp --against hessian --sizes 5,4,4,3"""


def add_check_command(commands) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("check", help="check your own function against the reference", epilog=_epilog())
    option = command.add_argument
    option("target", metavar="FILE.py:NAME", help="a function or another callable")
    option("--against", required=True, metavar="WHAT", help=f"{', '.join([*FUNCTIONS, *SOLVERS, *RECIPES])}; see below")
    option(
        "--sizes",
        default=SIZES,
        type=list_of(integer_above_0),
        metavar="N,N,..",
        help="layer sizes of a fully connected network; default: %(default)s",
    )
    option("--nonlinearity", default="tanh", metavar="F", help=f"{', '.join(NONLINEARITIES)}; default: %(default)s")
    option("--loss", default="softmax_cross_entropy", metavar="L", help=f"{', '.join(LOSSES)}; default: %(default)s")
    option("--l2", default=0.0, type=real_number, metavar="X", help="weight decay; default: %(default)s")
    option("--layout", default="in-out", metavar="L", help="layout of each W in theta: in-out, or PyTorch's out-in")
    option("--any-convention", action="store_true", help="accept a sum, another factor, decay, damping, layout, M, ...")
    option("--dtype", default="float64", metavar="T", help="float64 or float32; default: %(default)s")
    option("--seed", default=0, type=whole_number, metavar="S", help="random seed; default: %(default)s")
    option("--json", action="store_true", help="print JSON")


def _epilog():
    shapes = columns([*((name, f[1]) for name, f in FUNCTIONS.items()), *SOLVERS.items(), *RECIPES.items()], 2, 2)
    words = "theta (P,) is W_1.ravel(), b_1, W_2.ravel(), ...; the loss is the mean over the cases of X (B, n_0)."
    status = "exit: 0 right (with --any-convention: under one), 1 wrong, 2 usage"
    return "\n".join([EXAMPLE, "", "functions that can be checked:", *shapes, "", words, status])


def run_check_command(args) -> int:
    """Print the report; 0 if all laws hold, 1 if one fails."""
    what = checks.choice("against", args.against, [*FUNCTIONS, *SOLVERS, *RECIPES])
    net = None if what in (*SOLVERS, *RECIPES) else mlp(args.sizes, nonlinearity=args.nonlinearity, loss=args.loss)
    checks.real("l2", args.l2, low=0.0)
    with _loaded(args.target) as function:
        report = _report(what, function, net, args)
    print(output_folder.to_json(report.to_dict()) if args.json else report)
    return 0 if report.passed else 1


def _report(what, function, net, args) -> CheckReport | RecipeReport:
    if what in RECIPES:
        return _recipes(function, args)
    if what in SOLVERS:
        return check_solver(function, what, any_convention=args.any_convention, rng=args.seed)
    given = {"l2": args.l2, "dtype": args.dtype, "layout": args.layout, "any_convention": args.any_convention}
    return check_network({FUNCTIONS[what][0]: function}, net, rng=args.seed, **given)


def _recipes(function, args) -> RecipeReport:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model, loss, X, y, *params = function()
    except Exception as error:
        raise ValueError(f"{args.target}: expected {RECIPES['recipes']}; got {escaped(in_a_line(error))}") from error
    return compare_recipes(model, loss, X, y, params=params[0] if params else None, rng=args.seed)


@contextlib.contextmanager
def _loaded(target):
    """Load the callable NAME of FILE.py; its module stays in `sys.modules` so that it can import and unpickle.

    Output of the file while it is loaded goes to stderr.
    """
    file, colon, name = target.rpartition(":")
    if not (colon and name and file.endswith(".py")):
        raise ValueError(f"target: expected FILE.py:NAME; got {target!r}")
    path = Path(file).resolve()
    if not path.is_file():
        raise ValueError(f"target: expected a file that exists; got {file!r}")
    # The file must not replace a module of the same name.
    spec = importlib.util.spec_from_file_location(path.stem if _free(path.stem) else f"checked {path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"target: {file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    paths, modules = list(sys.path), dict(sys.modules)
    sys.path.insert(0, str(path.parent))  # as Python does for a script
    sys.modules[spec.name] = module
    try:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise ValueError(f"target: {file} cannot be loaded: {escaped(in_a_line(error))}") from error
        found = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        yield getattr(module, checks.choice(f"name in {file}", name, found))
    finally:
        sys.path[:] = paths
        for added in set(sys.modules) - set(modules):
            if _is_beside(sys.modules[added], path.parent):
                del sys.modules[added]


def _free(name):
    """True if no other module has this name."""
    return name not in sys.modules and name not in sys.stdlib_module_names


def _is_beside(module, folder):
    file = getattr(module, "__file__", None)
    return file is not None and folder in Path(file).resolve().parents
