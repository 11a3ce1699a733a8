"""refhf.data.csv_file, image_folder and held_out: tables and images that people have, and cases to test on."""

import json

import numpy as np
import pytest
from PIL import Image

from refhf.data.data_sets import DataSet, load
from refhf.data.held_out import held_out
from refhf.formats import FormatError
from refhf.lab.cli import entry_point

TABLES = {  # text, X, y, a part of the note
    "the last column": ("a,b,c\n1,2,0\n3,4,1\n", [[1, 2], [3, 4]], [0, 1], "c: read as y, labels 0 to 1"),
    "a column y": ("y,a\n0,5\n2,6\n", [[5], [6]], [0, 2], "y: read as y, labels 0 to 2"),
    "a column Label": ("a, Label ,b\n1,1,2\n3,0,4\n", [[1, 2], [3, 4]], [1, 0], "labels 0 to 1"),
    "words": ("a,kind\n1,rose\n2,iris\n3,rose\n", [[1], [2], [3]], [1, 0, 1], "labels 0 to 1: iris, rose"),
    "signs": ("a,y\n1,-1\n2,1\n3,-1.0\n", [[1], [2], [3]], [0, 1, 0], "labels: -1 as 0, 1 as 1"),
    "targets": ("a,y\n1,0.5\n2,-1\n", [[1], [2]], [[0.5], [-1]], "y: read as y, targets"),
    "large whole targets": ("a,y\n1,70000\n2,3\n", [[1], [2]], [[70000], [3]], "targets"),
    "semicolons, a mark, blanks": ("\ufeffa;y\r\n1;0\r\n\r\n 2 ;1\r\n", [[1], [2]], [0, 1], "labels"),
    "tabs and quotes": ('a\ty\n1\t"x, y"\n2\t"x\ty"\n', [[1], [2]], [1, 0], "labels 0 to 1: x\ty, x, y"),
}


@pytest.mark.parametrize("what", TABLES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tables_that_people_have(what, dtype, tmp_path):
    """The named column, or the last, is y: words, signs and whole numbers are labels, others targets; notes say so."""
    text, X, y, said = TABLES[what]
    (tmp_path / "mine.csv").write_bytes(text.encode())
    data = load(tmp_path / "mine.csv", dtype=dtype)
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, y)
    assert data.X.dtype == dtype and data.y.dtype == (np.int64 if np.ndim(y) == 1 else dtype)
    assert said in data.notes[0]


BAD_TABLES = {
    "no header": ("1,2\n3,4\n", "expected a header"),
    "no cases": ("a,y\n", "expected a header of two names or more, and cases"),
    "nothing": ("", "expected a header"),
    "one column": ("y\n1\n", "expected a header of two names"),
    "a short line": ("a,b,y\n1,2,0\n1,2\n", "line 3: expected 3 cells, as in the header; found 2"),
    "a word in X": ("a,y\n1,0\nbig,1\n", "line 3, a: expected a number; found 'big'"),
    "an empty cell": ("a,y\n1,0\n,1\n", "line 3, a: expected a number; found ''"),
    "an empty target": ("a,y\n1,0\n2,\n", "line 3, y: expected a target"),
    "NaN in X": ("a,y\n1,0\nnan,1\n", "line 3, a: expected a number finite in float64"),
    "infinity in y": ("a,y\n1,0\n2,inf\n", "y: expected numbers finite"),
    "an open quote": ('a,y\n1,"0\n', "expected a table in UTF-8"),
    "Latin-1": (b"a,y\n1,\xe9\n", "expected a table in UTF-8"),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_bad_tables_are_refused(what, tmp_path):
    """One FormatError in one line, with the line of the table where there is one."""
    text, said = BAD_TABLES[what]
    (tmp_path / "mine.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FormatError) as failure:
        load(tmp_path / "mine.csv")
    assert said in str(failure.value) and "\n" not in str(failure.value)


def painted(folder, parts, shape, channels):
    """Images of random pixels as files, by part and class: {file: pixels}."""
    rng, made = np.random.default_rng(0), {}
    for part in parts:
        for kind in ("cat", "dog"):
            (folder / part / kind).mkdir(parents=True)
            for name in ("1.png", "2.PNG"):
                pixels = rng.integers(256, size=(*shape, channels), dtype=np.uint8)
                Image.fromarray(pixels if channels == 3 else pixels[:, :, 0]).save(folder / part / kind / name)
                made[part, kind, name] = pixels
    return made


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_images_by_class(channels, parts, tmp_path):
    """A row for each image in C order, channels last, in [0, 1]; labels are the folders in alphabetical order."""
    made = painted(tmp_path, parts, (4, 3), channels)
    (tmp_path / parts[0] / "cat" / "notes.txt").write_text("not an image")
    data = load(tmp_path, dtype=np.float32)
    for part, X, y in zip(parts, (data.X, data.X_test), (data.y, data.y_test), strict=False):
        want = np.array([pixels.ravel() for (where, *_), pixels in made.items() if where == part])
        np.testing.assert_array_equal(X, (want / np.float32(255)).astype(np.float32))
        np.testing.assert_array_equal(y, [0, 0, 1, 1])
    assert (data.X_test is None) == (len(parts) == 1)
    assert data.notes == (f"images of 4 x 3 pixels, channels {channels}: read as X, rows; labels 0 to 1: cat, dog",)


def test_bad_images_are_refused(tmp_path):
    """An image of another size, a damaged one and a class without training cases are FormatErrors of their file."""
    painted(tmp_path, ("train", "test"), (4, 3), 1)
    other = tmp_path / "train" / "dog" / "3.png"
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(other)
    with pytest.raises(FormatError, match=r"3.png: expected 4 x 3 pixels, as 1.png has; found 3 x 4"):
        load(tmp_path)
    other.write_bytes(b"\x89PNG\r\n")
    with pytest.raises(FormatError, match=r"3.png: expected an image; found"):
        load(tmp_path)
    other.unlink()
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "cow")
    with pytest.raises(FormatError, match=r"expected a class of train: cat, dog; found cow"):
        load(tmp_path)


def test_they_are_trained_on(tmp_path, capsys):
    """`refhf train` takes a table and a folder of images."""
    (tmp_path / "mine.csv").write_text(TABLES["words"][0])
    painted(tmp_path / "images", ("train", "test"), (4, 4), 3)
    for data, error in ((tmp_path / "mine.csv", "-"), (tmp_path / "images", "50.00")):
        assert entry_point.main(f"train --data {data} --hidden none --method sgd --steps 1".split()) == 0
        out, err = capsys.readouterr()
        assert "read as" in err and error in out.splitlines()[1]


def test_validation_holds_cases_out(tmp_path, capsys):
    """`--validation S` draws that share by the seed: each case stands on one side, and a resumed run has the same."""
    data = DataSet("mine", np.arange(40.0)[:, None], np.arange(40) % 2)
    split = held_out(data, 0.1, 3)
    assert (len(split.X), len(split.X_test)) == (36, 4)
    np.testing.assert_array_equal(np.sort(np.concatenate([split.X, split.X_test])[:, 0]), data.X[:, 0])
    np.testing.assert_array_equal(split.y_test, split.X_test[:, 0] % 2)
    np.testing.assert_array_equal(split.X_test, held_out(data, 0.1, 3).X_test)
    assert not np.array_equal(split.X_test, held_out(data, 0.1, 4).X_test)
    for wrong, share in ((data, 0.001), (data, 1), (data, -1), (split, 0.1)):
        with pytest.raises(ValueError, match="^validation: expected "):
            held_out(wrong, share, 0)
    np.savez(tmp_path / "mine.npz", X=data.X, y=data.y)
    words = f"train --data {tmp_path}/mine.npz --validation 0.25 --hidden none --method sgd --out {tmp_path}/run --json"
    assert entry_point.main([*words.split(), "--steps", "1"]) == 0
    assert "10 of 40 cases" in capsys.readouterr().err
    assert entry_point.main(["train", "--resume", f"{tmp_path}/run", "--steps", "2", "--json"]) == 0
    history = json.loads(capsys.readouterr().out)["history"]
    assert len(history) == 3 and all(record["test_error"] * 10 % 1 == 0 for record in history)
