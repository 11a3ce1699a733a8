"""A progress bar over the steps of `refhf.minimize`."""

from collections.abc import Callable, Iterable, Iterator

from refhf import checks
from refhf.methods.report import Report

Reports = Iterable[Report]


def step_progress(wanted: bool, title: str, steps: int) -> Callable[[Reports], Reports]:
    """A map of the reports of a run to themselves, which shows a tqdm bar on stderr or in a notebook if `wanted`.

    Raises
    ------
    ValueError
        If a bar is wanted and tqdm is not installed.
    """
    if not checks.boolean("progress", wanted):
        return lambda reports: reports
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ValueError("progress: expected tqdm, of the extra refhf[cli]; it is not installed") from None

    def shown(reports: Reports) -> Iterator[Report]:
        with tqdm(total=steps, desc=title) as bar:
            for report in reports:
                bar.set_postfix_str(f"loss {report.loss:.3g}", refresh=False)
                bar.update()
                yield report

    return shown
