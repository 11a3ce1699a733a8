"""User-supplied cases from an `.npz` file or a folder of `.npy` files, under their usual names and shapes."""

import numpy as np

from refhf.formats import FormatError, npz_names, read_npz
from refhf.parallel.shards import Rows

ARRAYS = "X", "y", "X_test", "y_test"
MAX_CLASSES = 2**16  # our choice: a larger label is a mistake, and a layer of so many units would fill the memory
ROWS = 2**24  # bytes of a file read at a time; our choice


def read_npz_cases(path, dtype) -> dict:
    """Read and check the arrays of an `.npz` file, with `notes` on how they were read."""
    if not path.is_file():
        raise ValueError(f"name_or_path: expected a .npz file; got {str(path)!r}, which is no file")
    names = _names(path, npz_names(path))
    found, notes = read_npz(path, names.values()), []
    views = {key: _view(path, key, found[name], name, notes) for key, name in names.items()}
    _check_rows(path, {key: view.shape for key, view in views.items()})  # before bytes become numbers
    arrays = {key: _numbers(path, key, view, names[key], dtype) for key, view in views.items()}
    _check_shapes(path, arrays)
    return arrays | {"notes": tuple(notes), "image_shape": _image_shape(found[names["X"]].shape[1:])}


def _image_shape(shape) -> tuple[int, ...]:
    """(height, width, channels) of a case of 2 or 3 dimensions; () of others."""
    return tuple(shape + (1,) * (3 - len(shape))) if len(shape) in (2, 3) else ()


def _names(path, found) -> dict[str, str]:
    """Map the array names of the file to X, y, X_test and y_test."""
    names = {}
    for name in found:
        stem, _, part = name.lower().partition("_")
        key = {"x": "X", "y": "y"}.get(stem, "") + {"": "", "train": "", "test": "_test"}.get(part, "?")
        if key in ARRAYS:
            if key in names:
                raise FormatError(path, f"expected one array for {key}; found {names[key]} and {name}")
            names[key] = name
    if set(names) not in ({"X", "y"}, set(ARRAYS)):
        several = "arrays X, y or X, y, X_test, y_test (X_train and x_train are X too, and so on)"
        raise FormatError(path, f"expected {several}; found {found[:20]}")
    return names


def _view(path, key, x, name, notes):
    """The array `name` of the file in the shape of X or y; a change of name or shape is noted."""
    shape = x.shape
    if key.startswith("X"):
        x = x.reshape(len(x), -1) if x.ndim and x.size else x
    elif x.dtype.kind in "iub" and x.ndim == 2 and x.shape[1] == 1:
        x = x[:, 0]
    elif x.dtype.kind == "f" and x.ndim == 1:
        x = x[:, None]
    kind = _kind(key, x)
    _check_kind(path, name, kind, x)
    _note(notes, name, shape, key, kind, x.shape)
    return x


def _kind(key, x):
    return "rows" if key.startswith("X") else "labels" if x.ndim == 1 else "targets"


def _check_kind(path, name, kind, x):
    wanted, ndim, kinds = {
        "rows": ("numbers, (B, n_0)", 2, "fiub"),
        "labels": ("integer labels (B,)", 1, "iub"),
        "targets": ("numbers, labels (B,) or targets (B, n_L)", 2, "fiub"),
    }[kind]
    if x.ndim != ndim or x.size == 0 or x.dtype.kind not in kinds:
        raise FormatError(path, f"{name}: expected {wanted}; found {x.dtype} {x.shape}")


def _numbers(path, key, view, name, dtype):
    """Labels (B,), or inputs (B, n_0) or targets (B, n_L), of their type."""
    return _labels(path, name, view) if _kind(key, view) == "labels" else _finite(path, name, view, dtype)


def _note(notes, name, stored, key, kind, shape):
    if (name, stored) != (key, shape):
        notes.append(f"{name} {stored}: read as {key}, {kind} {shape}")


def _check_rows(path, shapes):
    for X, y in ("X", "y"), ("X_test", "y_test"):
        if X in shapes and shapes[X][:1] != shapes[y][:1]:
            raise FormatError(path, f"expected as many rows in {X} as in {y}; found shapes {shapes}")


def _check_shapes(path, arrays):
    shapes = {key: array.shape for key, array in arrays.items()}
    _check_rows(path, shapes)
    for train, test in ("X", "X_test"), ("y", "y_test"):
        if test in shapes and shapes[train][1:] != shapes[test][1:]:
            raise FormatError(path, f"expected the same columns in {train} and {test}; found shapes {shapes}")


def row_pieces(x: Rows):
    """The rows of a file in pieces."""
    n = max(1, ROWS // max(1, x[:1].nbytes))
    return (x[i : i + n] for i in range(0, len(x), n))


def read_npy_folder(path, dtype) -> dict:
    """Read a folder of `.npy` files like an `.npz` file, but leave the arrays on disk.

    Arrays on disk are read once to check that all numbers are finite. Arrays with one number a case are loaded.
    """
    names = _names(path, sorted(file.stem for file in path.glob("*.npy")))
    files, notes = {key: path / f"{name}.npy" for key, name in names.items()}, []
    arrays = {key: Rows(file, dtype=dtype) for key, file in files.items()}
    for key, x in arrays.items():
        if x.ndim == 1 or (x.ndim == 2 and x.shape[1] == 1 and key.startswith("y")):
            view = _view(files[key], key, Rows(files[key], dtype=x.stored)[:], names[key], notes)
            arrays[key] = _numbers(files[key], key, view, names[key], dtype)
        elif x.ndim != 2 or 0 in x.shape:
            raise FormatError(files[key], f"{names[key]}: expected rows of numbers; found {x.shape}")
        else:
            for rows in row_pieces(Rows(files[key], dtype=x.stored)):
                _check_kind(files[key], names[key], _kind(key, rows), rows)
                _finite(files[key], names[key], rows, dtype)
            _note(notes, names[key], x.shape, key, _kind(key, x), x.shape)
    _check_shapes(path, arrays)
    return arrays | {"notes": tuple(notes)}


def _finite(path, key, array, dtype):
    """The array as finite numbers of type dtype."""
    with np.errstate(over="ignore"):
        numbers = array.astype(dtype, copy=False)
    if not np.isfinite(numbers).all():
        raise FormatError(path, f"{key}: expected numbers finite in {np.dtype(dtype)}; found NaN or Inf")
    return numbers


def _labels(path, key, array):
    """Labels (B,) as int64."""
    if array.min() < 0:
        raise FormatError(path, f"{key}: expected labels from 0 up (or floats, as targets); found {array.min()}")
    if array.max() >= MAX_CLASSES:
        raise FormatError(path, f"{key}: expected labels below {MAX_CLASSES}; found {array.max()}")
    return array.astype(np.int64, copy=False)
