"""Faulty implementations (`faults`) as answers to test vectors: `python tests/faulty_adapters.py` prints a table."""

from functools import cache

import numpy as np
from faults import GRADIENT_FAULTS, PRODUCT_FAULTS, SOLVER_FAULTS, Case, solver, stabilised

from refhf.conformance.vectors import vector_run
from refhf.conformance.vectors.adapter_process import NoReply
from refhf.conformance.vectors.load_vectors import load
from refhf.conformance.vectors.reply_comparison import Verdict
from refhf.conformance.vectors.suspected_mistakes import suspects

OPERATIONS = {"hessian": "hessian_product", "gauss-newton": "gauss_newton_product", "gradient": "gradient"}


def right_product(kind):
    """make(case) for the product without a fault."""
    return lambda case: getattr(case.mine(), OPERATIONS[kind])


def product_asker(kind, make):
    """An answering function built on make(case), a faulty product; requests on the same cases share one product."""
    made = {}

    def ask(_, request):
        if request["operation"] != OPERATIONS[kind] or "sizes" not in request:
            return {"unsupported": True}
        X, y, theta = (np.array(request[name]) for name in ("X", "y", "theta"))
        X, y = X.reshape(request["cases"], -1), y.reshape(request["cases"], -1)
        arguments = tuple(request["sizes"]), request["nonlinearity"], request["loss"], X, y, request["l2"]
        case = Case(arguments, theta, None)
        function = made.setdefault(X.tobytes(), make(case))
        with np.errstate(all="ignore"):
            if kind == "gradient":
                return {"value": float(case.mine().value(theta)), "gradient": function(theta).tolist()}
            return {"product": function(theta, np.array(request["v"])).tolist()}

    return ask


def solver_asker(kind, solve):
    """An answering function built on a solver `x, info = solve(A, b, x0, ...)`."""

    def ask(_, request):
        if request["operation"] != "solve" or request["solver"] != kind:
            return {"unsupported": True}
        b, n = np.array(request["b"], float), len(request["b"])
        M = np.reshape(request["M"], (n, n)) if "M" in request else None
        given = {"rtol": request["rtol"], "maxiter": request["maxiter"], "M": M}
        with np.errstate(all="ignore"):
            x, info = solve(np.reshape(request["A"], (n, n)), b, np.array(request["x0"]), **given)
        return {"x": x.tolist(), "converged": info == 0}

    return ask


RIGHT = [
    *((f"{kind}: no fault", product_asker(kind, right_product(kind))) for kind in OPERATIONS),
    ("cg: no fault", solver_asker("cg", solver())),
    ("bicgstab: no fault", solver_asker("bicgstab", stabilised())),
]
WRONG = [
    *((fault.name, product_asker(fault.kind, fault.make)) for fault in PRODUCT_FAULTS + GRADIENT_FAULTS),
    *((fault.name, solver_asker(fault.kind, fault.solver)) for fault in SOLVER_FAULTS),
]


def guarded(ask):
    """The answering function, with exceptions turned into `NoReply`."""

    def answer(name, request):
        try:
            return ask(name, request)
        except (ArithmeticError, IndexError, ValueError) as error:
            raise NoReply(f"{type(error).__name__}: {error}") from error

    return answer


@cache
def results(ask):
    """The results on all vectors that the function supports."""
    found = list(vector_run.run(load(), guarded(ask)))
    return [result for result in found if result.verdict is not Verdict.SKIP]


def main():
    """Print one row a fault: vectors answered, vectors failed, suspected mistakes."""
    print(f"{'fault':<44}{'asked':>6}{'caught by':>10}  looks like")
    for name, ask in RIGHT + WRONG:
        found = results(ask)
        failed = sum(result.verdict is Verdict.FAIL for result in found)
        flags = ", ".join(suspect.flag for suspect in suspects(found))
        print(f"{name:<44}{len(found):>6}{failed:>10}  {flags}")


if __name__ == "__main__":
    main()
