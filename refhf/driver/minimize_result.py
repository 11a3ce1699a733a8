"""The result of `refhf.minimize`."""

from scipy.optimize import OptimizeResult

from refhf.text import html_table

COLUMNS = "step", "loss", "gradient_norm", "step_length", "outcome"  # of the table in a notebook


class MinimizeResult(OptimizeResult):
    """SciPy's result, shown in three lines; in a notebook with a table of the steps."""

    def __repr__(self) -> str:
        made = ", ".join(f"{name} {self[name]}" for name in ("nit", "nfev", "njev", "nhev"))
        return f"fun {self.fun:.6g} at x {self.x.shape}, success {self.success}: {self.message}\n  {made}"

    def _repr_html_(self) -> str:
        head, *_ = repr(self).splitlines()
        return html_table(COLUMNS, ([record[name] for name in COLUMNS] for record in self.history), caption=head)
