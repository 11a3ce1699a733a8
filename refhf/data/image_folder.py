"""Images in folders, one for each class, as X and labels."""

from pathlib import Path
from typing import Any

import numpy as np

from refhf.formats import FormatError

ENDINGS = ".png", ".jpg", ".jpeg", ".bmp", ".gif"
PARTS = "train", "test"  # the folders of classes may stand in these
WHITE = 255  # the largest value of a pixel, which becomes 1.0


def is_image_folder(path: Path) -> bool:
    """True if there are images in folders within the folder, or within its `train`."""
    return any(_images(path)) or any(_images(path / "train"))


def read_image_folder(path: Path, dtype: Any) -> dict[str, Any]:
    """X and y of the images CLASS/NAME.png and the like; of train/CLASS and test/CLASS also X_test and y_test.

    Labels are the classes in alphabetical order. X has a row for each image, in C order, channels last, in [0, 1]; one
    channel if all images are grey, else three.

    Raises
    ------
    FormatError
        For a file that is no image, images of different sizes, or a class of `test` that `train` does not have.
    """
    folders = [path / part for part in PARTS if any(_images(path / part))] or [path]
    files = {key: sorted(_images(folder)) for key, folder in zip(("", "_test"), folders, strict=False)}
    classes = sorted({file.parent.name for file in files[""]})
    pixels = {file: _pixels(file) for part in files.values() for file in part}
    first, one = files[""][0], pixels[files[""][0]]
    for file, image in pixels.items():
        if image.shape != one.shape:
            raise FormatError(file, f"expected {_by(one)} pixels, as {first.name} has; found {_by(image)}")
        if file.parent.name not in classes:
            raise FormatError(file, f"expected a class of train: {', '.join(classes)}; found {file.parent.name}")
    channels = 1 if all((image == image[:, :, :1]).all() for image in pixels.values()) else 3
    arrays: dict[str, Any] = {}
    for key, part in files.items():
        X = np.stack([pixels[file][:, :, :channels].ravel() for file in part])
        arrays[f"X{key}"] = np.divide(X, WHITE, dtype=dtype)
        arrays[f"y{key}"] = np.array([classes.index(file.parent.name) for file in part])
    named = f"labels 0 to {len(classes) - 1}: {', '.join(classes)}"
    notes = (f"images of {_by(one)} pixels, channels {channels}: read as X, rows; {named}",)
    return arrays | {"notes": notes, "classes": tuple(classes), "image_shape": (*one.shape[:2], channels)}


def _images(folder: Path):
    return (file for file in folder.glob("*/*") if file.suffix.lower() in ENDINGS)


def _pixels(file: Path) -> np.ndarray:
    """(height, width, 3) bytes."""
    from PIL import Image  # matplotlib depends on it

    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(file, f"expected an image; found ({error})") from error


def _by(image: np.ndarray) -> str:
    return f"{image.shape[0]} x {image.shape[1]}"
