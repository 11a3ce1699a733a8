"""The name that a wrong one stands for."""

import difflib
import re
from collections.abc import Iterable

OTHERS_SAY = {  # the words of other libraries and papers: what refhf calls the same thing, where it has it
    "activation": ("nonlinearity",),
    "batch size": ("batch", "curvature batch"),
    "bce": ("logistic cross entropy",),
    "binary cross entropy": ("logistic cross entropy",),
    "cnn": ("convnet",),
    "cross entropy": ("softmax cross entropy",),
    "crossentropy": ("softmax cross entropy",),
    "dataset": ("data",),
    "elu": (),
    "gauss newton": ("gn cg",),
    "gd": ("gradient descent",),
    "gpt": ("transformer",),
    "iterations": ("steps",),
    "lambda": ("damping",),
    "lenet": ("convnet",),
    "linear": ("identity",),
    "lr": ("learning rate",),
    "maxiter": ("steps",),
    "mean squared error": ("squared error",),
    "mse": ("squared error",),
    "newton cg": ("truncated newton",),
    "nll": ("softmax cross entropy",),
    "optimiser": ("method",),
    "optimizer": ("method",),
    "output": ("out",),
    "resnet": ("resnet 20",),
    "sigmoid": ("logistic",),
    "swish": ("silu",),
    "weight decay": ("l2",),
}
NEAR = 0.7  # difflib's ratio from which a word may be a slip of the finger: one letter in four; our choice


def hint(given: object, valid: Iterable[str]) -> str:
    """' (did you mean ...?)' with the one of `valid` that `given` stands for, or ''.

    It stands for one that differs in case, hyphens and the like alone; for one that others call so; for the only one
    of which it is a word; for one from which it differs by a slip of the finger.

    Examples
    --------
    >>> print(hint("Gn_CG", ["gn-cg", "sgd"]), hint("sigmoid", ["tanh", "logistic"]), hint("predict", ["vectors"]))
     (did you mean 'gn-cg'?)  (did you mean 'logistic'?)
    """
    names = {_words(name): name for name in valid}
    said = _words(str(given))
    parts = [words for words in names if said and f" {said} " in f" {words} "]
    found = [said, *OTHERS_SAY.get(said, ()), *(parts if len(parts) == 1 else ())]
    found = [words for words in found if words in names]
    if not (found or parts or said in OTHERS_SAY):
        slips = [words for words in names if sorted(words) == sorted(said) or _one_letter(words, said)]
        found = slips or difflib.get_close_matches(said, names, n=1, cutoff=NEAR)
    return f" (did you mean {names[found[0]]!r}?)" if found else ""


def _one_letter(a: str, b: str) -> bool:
    """True if they differ in one letter; a word of three keeps its first, and one of two says nothing."""
    short = len(a) <= 3
    if len(a) != len(b) or len(a) < 3 or (short and a[0] != b[0]):
        return False
    return sum(x != y for x, y in zip(a, b, strict=True)) == 1


def _words(name: str) -> str:
    """'--Learning-Rate' -> 'learning rate'."""
    return " ".join(re.split(r"[\W_]+", name.lower())).strip()
