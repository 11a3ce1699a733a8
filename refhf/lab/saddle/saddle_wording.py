"""Words of the saddle lab's figure and page: headline, outcome, powers and minus signs."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from refhf.lab.saddle import escape_reasons
from refhf.lab.saddle.saddle_table import format_point, name_stable_directions
from refhf.lab.saddle.trajectories import BESIDE, Ending, Trajectory, within

ENDING_WORDS = {
    Ending.SADDLE: "stops at a saddle",
    Ending.DEGENERATE: "stops at the saddle",
    Ending.MAXIMUM: "stops at a maximum",
    Ending.PLATEAU: "stops on a plateau",
    Ending.UNBOUNDED: "leaves the scene",
    Ending.REFUSED: "has its steps refused",
    Ending.MOVING: "is still on its way",
    Ending.NON_FINITE: "meets a number that is not finite",
}
GROUPS = {
    Ending.SADDLE: "saddle",
    Ending.DEGENERATE: "saddle",
    Ending.MINIMUM: "minimum",
    Ending.NEAR_MINIMUM: "minimum",
    Ending.MAXIMUM: "maximum",
    Ending.PLATEAU: "plateau",
    Ending.UNBOUNDED: "unbounded",
}
GROUP_WORDS = {  # in a headline, after a count: singular and plural
    "saddle": ("stops at the saddle", "stop at the saddle"),
    "minimum": ("reaches a minimum", "reach a minimum"),
    "maximum": ("stops at a maximum", "stop at a maximum"),
    "plateau": ("stops on a plateau", "stop on a plateau"),
    "outside": ("reaches a minimum off the map", "reach a minimum off the map"),
    "unbounded": ("leaves the scene", "leave the scene"),
    "other": ("still moving", "still moving"),
}
RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
QUESTIONS = "which methods will leave the saddle?", "which methods will reach a minimum?"
IN_PLAIN_WORDS = {
    "gradient-descent": "walks downhill along the slope",
    "newton": "jumps to where its model is flat",
    "truncated-newton": "Newton, until the model bends down",
    "saddle-free-newton": "Newton, bends down taken as bends up",
    "hessian-bicgstab": "solves for Newton's jump bit by bit",
    "random-start-cg": "Newton bit by bit, from a random vector",
    "noisy-gradient-descent": "walks downhill and shakes",
    "negative-curvature-newton": "looks for a bend down, then Newton",
    "random-start-bicgstab": "the same jump, from a random vector",
    "gn-cg": "its model never bends down",
    "hessian-cg": "Newton bit by bit, until a bend down",
    "hybrid-cg": "after a bend down, a model without",
}
SOURCES = {
    "gradient-descent": "Nocedal and Wright 2006, 2.2",
    "newton": "Nocedal and Wright 2006, 3.3",
    "truncated-newton": "He et al. 2016, Algorithm 1",
    "saddle-free-newton": "Dauphin et al. 2014, 5",
    "hessian-bicgstab": "He et al. 2016, Algorithm 3",
    "random-start-cg": "He et al. 2016, Algorithm 2, line 1",
    "noisy-gradient-descent": "gradient descent with noise",
    "negative-curvature-newton": "Mor\u00e9 and Sorensen 1979; He et al. 2016, 4.2",
    "random-start-bicgstab": "He et al. 2016, Algorithms 2 and 3",
    "gn-cg": "Martens 2010; Schraudolph 2002",
    "hessian-cg": "Martens 2010, 4",
    "hybrid-cg": "He et al. 2016, 5",
}


def raise_powers(text: str) -> str:
    """Write powers with superscripts: x^2 with a raised 2, 1e-06 as 10 with a raised -6."""
    text = re.sub(r"(\d(?:\.\d+)?)e([+-]\d+)", lambda found: f"{found[1]}\u00d710^{int(found[2])}", text)
    text = re.sub(r"(?<![\d.])1\u00d710\^", "10^", text)
    return re.sub(r"\^(-?\d+)", lambda found: found[1].translate(RAISED), text)


def true_minus(text: str) -> str:
    """Replace hyphens before digits by the minus sign."""
    return re.sub(r"-(?=\d)", "\u2212", text)


def saddle_headline(paths: Sequence[Trajectory]) -> str:
    """The figure's message in one sentence."""
    counted = Counter(map(ending_group, paths))
    counts = ", ".join(
        f"{counted[group]} {words[counted[group] > 1]}" for group, words in GROUP_WORDS.items() if counted[group]
    )
    start = paths[0].points[0].theta
    return (
        f"From {true_minus(format_point(start))}: {counts}" if start.size <= 3 else f"Of {len(paths)} methods: {counts}"
    )


def ending_group(path: Trajectory) -> str:
    """The key of GROUP_WORDS that a trajectory counts under; a minimum outside the window is "outside"."""
    group = GROUPS.get(path.ending, "other")
    return "outside" if group == "minimum" and _off_the_map(path) else group


def _off_the_map(path):
    return path.surface.window is not None and not within(path.surface, path.points[-1].theta)


def describe_outcome(path: Trajectory) -> str:
    """The end of the trajectory in a few words."""
    escape = escape_reasons.find_escape(path)
    if GROUPS.get(path.ending) == "minimum":
        how = f" by {escape.by.replace('Lanczos ', '')}" if escape and escape.step else ""
        how = ", off the map" if _off_the_map(path) else how
        return f"{'hovers about' if path.ending is Ending.NEAR_MINIMUM else 'reaches'} {_minimum(path)}{how}"
    if path.ending is Ending.SADDLE and len(path.points) == 1:
        return "does not move: the saddle"
    if path.ending is Ending.SADDLE and escape:
        if escape.step is not None and not escape.by.startswith("rounding"):
            return "is drawn into the saddle"
        line = name_stable_directions(path.surface)
        return f"stays on {line[9:] if '=' in line else 'its line'}: the saddle"
    return ENDING_WORDS[path.ending]


def _minimum(path):
    """The listed minimum at the end of the trajectory, else the end point."""
    last = path.points[-1].theta
    listed = [minimum for minimum in path.surface.minima if np.linalg.norm(last - minimum) < BESIDE]
    return true_minus(format_point(listed[0] if listed else last)) if last.size <= 3 else "a minimum"
