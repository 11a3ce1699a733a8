"""Functions of few parameters with known saddles and minima."""
