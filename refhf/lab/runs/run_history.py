"""The history that a run has written to its folder."""

import json
from typing import Any

from refhf import checks
from refhf.driver.registry import METHODS
from refhf.formats import FormatError
from refhf.lab.runs import atomic_files, checkpoint_contents
from refhf.lab.runs.run_position import HISTORY
from refhf.text import contents, path_of


def history(folder) -> list[dict[str, Any]]:
    """The steps of a run, from the folder that `refhf train --out` writes, also while it is running.

    Parameters
    ----------
    folder : str or path
        Of one run; a comparison has a folder for each method in it.

    Returns
    -------
    list of dict
        A flat record of each step, from step 0: `pandas.DataFrame` takes it.

    Raises
    ------
    ValueError
        If the folder is not that of a run.
    FormatError
        A ValueError: if a file in it is not as `refhf` writes it.

    Examples
    --------
    >>> [record["loss"] for record in history("run")]  # doctest: +SKIP
    [2.41, 1.02, 0.63]
    """
    path = path_of("folder", folder)
    described, written = path / "run.json", path / HISTORY
    if not (described.is_file() and written.is_file()):
        raise ValueError(f"folder: expected one of refhf train --out; got {str(path)!r}, which {contents(path)}")
    try:
        method = checks.choice("method", json.loads(described.read_bytes())["method"], METHODS)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise FormatError(described, f"expected a file that `refhf` wrote; found ({error})") from error
    with atomic_files.open_regular(written, "rb") as file:
        content = file.read()
    lines = content[: content.rfind(b"\n") + 1]  # the last line may be half written
    try:
        return checkpoint_contents.read_history(lines, lines.count(b"\n") - 1, method)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(written, f"expected a file that `refhf` wrote; found ({error})") from error
