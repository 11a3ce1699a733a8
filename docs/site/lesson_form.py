# %% [markdown]
# # The form of a lesson
#
# A lesson is a Python script in cells, `tutorials/NN_name.py`. It runs from top to bottom in under a minute and ends in
# assertions. This page is one: its source has each form that the site knows.
#
# <aside class="margin">
#
# A note in the margin is an `<aside class="margin">`; on a narrow screen it stands in the text.
#
# </aside>
#
# A markdown cell holds text, and TeX between dollar signs: the Gauss-Newton matrix is $G = J^\top H_L J$. A line of
# its own has two of them:
#
# $$\phi(x) = \tfrac12 x^\top A x - b^\top x, \qquad r = b - A x$$
#
# A code span with ` = `, ` < ` or ` > ` in it is a claim about the output: `phi falls by 0.6818`. A test compares them.
#
# ## Equations beside code
#
# A comment at the end of a line that is TeX alone, `# $...$`, is shown as an equation beside that line.

# %%
import matplotlib.pyplot as plt
import numpy as np

A, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
x = np.zeros(2)
r = p = b - A @ x  # $p_0 = r_0 = b - A x_0$
path = [x]
for _ in range(2):
    Ap = A @ p
    alpha = (r @ r) / (p @ Ap)  # $\alpha_k = r_k^\top r_k / p_k^\top A p_k$
    x = x + alpha * p  # $x_{k+1} = x_k + \alpha_k p_k$
    r_new = r - alpha * Ap  # $r_{k+1} = r_k - \alpha_k A p_k$
    p = r_new + (r_new @ r_new) / (r @ r) * p  # $p_{k+1} = r_{k+1} + \beta_k p_k$
    r = r_new
    path.append(x)
print(f"phi falls by {b @ x / 2:.4f}")
assert np.allclose(A @ x, b)

# %% [markdown]
# ## Figures
#
# Figures that pyplot has open at the end of a cell are shown below it; `plt.show()` is not needed. The title is the
# picture's text for those who do not see it.

# %%
t = np.linspace(-0.3, 0.5, 80), np.linspace(-0.2, 1.0, 80)
X = np.stack(np.meshgrid(*t), axis=-1)
phi = np.einsum("...i,ij,...j", X, A, X) / 2 - X @ b
figure, axes = plt.subplots(figsize=(5, 4))
axes.contour(*t, phi, levels=12, colors="#777777", linewidths=0.7)
axes.plot(*np.transpose(path), "o-", color="#0072b2")
axes.set_title("Two steps of conjugate gradients reach the minimum")
axes.set_xlabel("$x_1$")
axes.set_ylabel("$x_2$")

# %% [markdown]
# ## Exercises
#
# An answer is a `<details>`. A code cell after it that begins with `# Answer` is put in the same fold.
#
# 1. How many steps does CG need for a matrix with three distinct eigenvalues?
#
# <details><summary>Answer</summary>
#
# Three: the residual is $r_k = q(A)\, b$ with $q(0) = 1$, and a polynomial of degree three has all of them as roots.
#
# </details>

# %%
# Answer to exercise 1, checked
import refhf

found, info = refhf.cg(np.diag([1.0, 2.0, 5.0, 5.0]), np.ones(4), rtol=1e-10)
assert info.iterations == 3
