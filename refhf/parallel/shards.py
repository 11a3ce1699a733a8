"""Shards: who holds which rows of the data, on disk, in memory and in a mini-batch.

Ranks hold consecutive rows in the order of the ranks, any number of them, none included.
"""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from refhf import checks
from refhf.formats import FormatError, Header, array_header
from refhf.model.blocks import Array
from refhf.parallel.launch import agree, as_communicator

VIRTUAL = 16  # pieces of the data that reduction="reproducible" sums one by one; our choice
REDUCTIONS = ("fast", "reproducible", "reproducible-V")


def virtual_shards(reduction: str) -> int | None:
    """The pieces of the data that are summed one by one, or None for 'fast'.

    They are V for 'reproducible-V' and 16 for 'reproducible'. Ranks beyond so many are idle. Results have the same bits
    for every number of ranks, but depend on V.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> [virtual_shards(name) for name in ("fast", "reproducible", "reproducible-48")]
    [None, 16, 48]
    """
    if reduction in ("fast", "reproducible"):
        return VIRTUAL if reduction == "reproducible" else None
    kind, _, number = str(reduction).partition("-")
    if kind == "reproducible" and number.isascii() and number.isdecimal() and int(number) > 0:
        return int(number)
    raise ValueError(
        f"reduction: expected one of {', '.join(REDUCTIONS)}, V a number of pieces; "
        f"got {reduction!r}{checks.hint(str(reduction), REDUCTIONS)}"
    )


def cuts(n: int, pieces: int) -> Array:
    """Where n rows are cut into pieces that differ by one row at most: (pieces + 1,) row numbers."""
    return n * np.arange(pieces + 1) // pieces


def group_cuts(n: int, pieces: int, group: int) -> np.ndarray:
    """`cuts` between groups of `group` rows; the last group has the rest."""
    return np.minimum(cuts(-(-n // group), pieces) * group, n)


def shard(n: int, rank: int, size: int, reduction: str = "fast", group: int = 1) -> slice:
    """The rows, of n, that rank `rank` of `size` holds: whole groups of `group` rows, the rest after the last.

    Shares differ by one group at most for reduction="fast". For "reproducible" they are whole virtual shards
    (`virtual_shards`): 16, or V for "reproducible-V". Ranks beyond as many get none. If V is a multiple of `size`, they
    are the same as for "fast"; with V >= n, ranks may hold any rows.

    Examples
    --------
    >>> [shard(10, rank, 4) for rank in range(4)]
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    pieces = virtual_shards(reduction)
    bounds = group_cuts(n, size, group) if pieces is None else group_cuts(n, pieces, group)[cuts(pieces, size)]
    return slice(int(bounds[rank]), int(bounds[rank + 1]))


class Layout(NamedTuple):
    """Pieces of consecutive rows, and who holds them. A sum over cases is made a piece at a time.

    Attributes
    ----------
    bounds : ndarray (pieces + 1,)
        Row numbers among all rows: piece j is bounds[j] .. bounds[j + 1].
    owners : ndarray (pieces,)
        The rank that holds piece j; ascending.
    rank : int
        This one.
    group : int
        Rows that belong together: no piece begins within them.
    """

    bounds: Array
    owners: Array
    rank: int
    group: int = 1

    @property
    def cases(self) -> int:
        """The rows on all ranks."""
        return int(self.bounds[-1])

    @property
    def mine(self) -> tuple[slice, ...]:
        """The pieces of this rank, as rows of its shard."""
        bounds = self._own_bounds() - self._own_bounds()[0]
        return tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(bounds))

    @property
    def first(self) -> int:
        """The number, among all rows, of this rank's first."""
        return int(self._own_bounds()[0])

    def take(self, drawn: Array) -> tuple["Layout", Array]:
        """The layout of a mini-batch, from its ascending row numbers, and which rows of this rank's shard are in it."""
        own = self._own_bounds()
        first, last = np.searchsorted(drawn, own[[0, -1]])
        return self._replace(bounds=np.searchsorted(drawn, self.bounds)), drawn[first:last] - own[0]

    def _own_bounds(self) -> Array:
        first, last = np.searchsorted(self.owners, [self.rank, self.rank + 1])
        return self.bounds[first : last + 1]


def layout(held: int, comm: Any, reduction: str, group: int = 1) -> Layout:
    """The layout of ranks that hold `held` rows each, in groups of `group`; one gathered number.

    Raises
    ------
    ValueError
        On all ranks, for no rows on any, or shards that are not made of whole groups and, where they must be, of whole
        virtual ones.
    """
    ends = np.cumsum(np.concatenate(comm.gather(np.array([held]))))
    starts, n = np.concatenate([[0], ends[:-1]]), int(ends[-1])
    if n == 0:
        raise ValueError("X: expected at least one case; got none" + (" on any rank" if comm.size > 1 else ""))
    pieces = virtual_shards(reduction)
    bounds = np.arange(0, n + group, group) if pieces is None else group_cuts(n, pieces, group)
    stray = np.setdiff1d(starts, np.append(bounds, n))
    if stray.size:
        why = f"groups of {group} cases" if pieces is None else f"reduction={reduction!r}"
        raise ValueError(
            f"X: expected shards that begin at one of the rows {_listed(np.unique(bounds[:-1]))} for {why} "
            f"(refhf.parallel.shard makes them); got one that begins at {stray[0]}"
        )
    if pieces is None:
        return Layout(np.concatenate([starts, ends[-1:]]), np.arange(comm.size), comm.rank, group)
    return Layout(bounds, np.searchsorted(starts, bounds[:-1], side="right") - 1, comm.rank, group)


def _listed(rows: np.ndarray) -> str:
    shown = [str(row) for row in rows[: VIRTUAL + 1]]
    return ", ".join(shown) + (", ..." if len(rows) > len(shown) else "")


class Rows:
    """Rows start .. stop of an array in a `.npy` file, read when they are asked for and not kept.

    Attributes
    ----------
    stored : dtype
        That of the file.
    shape, ndim, dtype
        As of an array. What is neither float32 nor float64 comes as float64, unless told otherwise or one-dimensional.
    """

    def __init__(self, path: str | Path, start: int = 0, stop: int | None = None, dtype: DTypeLike | None = None):
        self.path = Path(path)
        self._all, self.stored, _, self._offset = _header(self.path)
        self._rows = slice(start, self._all[0] if stop is None else stop)
        self.shape = (self._rows.stop - start, *self._all[1:])
        self.ndim = len(self.shape)
        as_stored = self.ndim == 1 or self.stored in (np.float32, np.float64)
        self.dtype = np.dtype(dtype or (self.stored if as_stored else np.float64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        """The rows of a slice or an array of row numbers, in memory; the file is mapped only meanwhile."""
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)[rows]
        everything = np.memmap(self.path, self.stored, "r", self._offset, self._all)
        return np.array(everything[self._rows][rows], self.dtype)

    def astype(self, dtype: Any) -> "Rows":
        """The same rows, read as `dtype`."""
        return Rows(self.path, self._rows.start, self._rows.stop, dtype)

    def part(self, rows: slice) -> "Rows":
        """The rows start .. stop of these, on disk as they are."""
        first = self._rows.start
        return Rows(self.path, first + rows.start, first + rows.stop, self.dtype)

    def __array__(self, dtype: DTypeLike | None = None, copy: Any = None) -> Array:
        return self[:].astype(dtype or self.dtype, copy=False)


def load_shard(
    inputs: str | Path, targets: str | Path, comm: Any, reduction: str = "fast", group: int = 1
) -> tuple[Any, Any]:
    """The shard (X, y) of this rank, of two `.npy` files with a case a row, for `refhf.supervised`.

    X, and targets (B, n_L), stay on disk as `Rows`: a chunk or a mini-batch is in memory while it is swept. Labels
    (B,) are in memory. The order of the rows does not matter: mini-batches are drawn from all of them.

    Raises
    ------
    ValueError
        Naming the file, for one that is not a whole `.npy` file of real numbers in C order, or files of different
        length; on all ranks, where they see different files.
    """
    comm, X, y = as_communicator(comm), Rows(inputs), Rows(targets)
    if X.ndim < 2 or len(X) != len(y):
        raise ValueError(
            f"inputs, targets: expected (B, n_0), and (B,) or (B, n_L); "
            f"got {X.shape} in {inputs} and {y.shape} in {targets}"
        )
    agree(comm, inputs=(X.shape, X.dtype.str), targets=(y.shape, y.dtype.str))
    mine = shard(len(X), comm.rank, comm.size, reduction, group)
    if y.ndim == 1:
        return X.part(mine), y[mine]
    return X.part(mine), Rows(targets, mine.start, mine.stop, X.dtype)


def _header(path: Path) -> Header:
    """The header of a `.npy` file of rows, checked against the file's length before any use."""
    try:
        with open(path, "rb") as file:
            header = array_header(file, path.stat().st_size, path)
    except IsADirectoryError as error:
        raise FormatError(path, "expected a .npy file; found a folder") from error
    if header.dtype.kind not in "fiub":
        raise FormatError(path, f"expected real numbers; found dtype {header.dtype}")
    if len(header.shape) == 0 or (header.fortran_order and len(header.shape) > 1):
        order = ", Fortran order" * header.fortran_order
        raise FormatError(path, f"expected rows in C order; found shape {header.shape}{order}")
    return header
