# %% [markdown]
# # 0. Why Hessian-free
#
# Training a network means minimising a function $f(\theta)$ of very many parameters. Gradient descent is slow in
# long, narrow valleys. Newton's method is fast there, but needs the Hessian $H$, a matrix of $P \times P$ numbers.
# Hessian-free optimisation (Martens 2010) takes Newton's step, or nearly, without ever forming $H$. This lesson shows
# the idea on functions of two variables. The other lessons fill in the parts.
#
# You need derivatives of functions of several variables, and eigenvalues of a symmetric matrix.

# %%
import matplotlib.pyplot as plt
import numpy as np

BLUE, RED = "#0072B2", "#B34700"

# %% [markdown]
# ## A valley
#
# The simplest valley is a quadratic with two curvatures, 1 along $x$ and $\kappa$ along $y$. The ratio of the largest
# to the smallest curvature is the *condition number*, here $\kappa = 25$.
#
# $$f(x, y) = \tfrac12 (x^2 + \kappa y^2), \qquad g = (x, \kappa y), \qquad
# H = \begin{pmatrix} 1 & 0 \\ 0 & \kappa \end{pmatrix} \tag{1}$$

# %%
kappa = 25.0
H = np.diag([1.0, kappa])


def f(theta):
    return theta @ H @ theta / 2  # (1)


def gradient(theta):
    return H @ theta  # (1)


# %% [markdown]
# ## Gradient descent zigzags
#
# Gradient descent steps against the gradient, $\theta \leftarrow \theta - \alpha g$. Each step multiplies $x$ by
# $1 - \alpha$, and $y$ by $1 - \alpha\kappa$:
#
# $$x_{k+1} = (1 - \alpha)\, x_k, \qquad y_{k+1} = (1 - \alpha\kappa)\, y_k \tag{2}$$
#
# One rate $\alpha$ has to serve both. The steep direction diverges if $\alpha > 2/\kappa$, and then the flat direction
# moves by at most 8 % a step. The best rate is $\alpha = 2/(1 + \kappa)$. It multiplies both by the same number, up
# to the sign:
#
# $$\frac{\kappa - 1}{\kappa + 1} = \frac{24}{26} \approx 0.92 \tag{3}$$
#
# So $f$ falls by the factor $0.92^2$ a step, and to a millionth of its start after `gradient descent: steps = 87`.

# %%
alpha = 2 / (1 + kappa)
theta = np.array([kappa, 1.0])
descent = [theta]
while f(theta) > 1e-6 * f(descent[0]):
    theta = theta - alpha * gradient(theta)  # (2)
    descent.append(theta)
print(f"gradient descent: steps = {len(descent) - 1}")
assert len(descent) - 1 == 87
assert np.allclose(abs(descent[1]), (kappa - 1) / (kappa + 1) * descent[0])  # (3)

# %% [markdown]
# ## Newton's step
#
# Near $\theta$ a smooth function is almost its quadratic model
#
# $$q(d) = f + g'd + \tfrac12 d'Hd, \qquad \nabla q(d) = g + H d \tag{4}$$
#
# If $H$ is positive definite, the model has its minimum where $H d = -g$. Newton's method goes there, $d = -H^{-1}g$.
# It divides each component of the gradient by *its own* curvature. So it needs no rate, and the condition number does
# not matter. Our $f$ is its own model: `Newton: steps = 1`.

# %%
start = descent[0]
d = np.linalg.solve(H, -gradient(start))  # (4)
print(f"Newton: steps = {1 if f(start + d) < 1e-30 else 'more'}")
assert np.allclose(start + d, 0)

x, y = np.meshgrid(np.linspace(-6, 28, 200), np.linspace(-1.6, 1.6, 200))
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
ax.contour(x, y, (x**2 + kappa * y**2) / 2, levels=[2, 12, 40, 100, 200, 320], colors="0.6", linewidths=0.8)
ax.plot(*np.transpose(descent[:30]), "o-", color=RED, markersize=3, linewidth=1)
ax.plot([start[0], 0], [start[1], 0], "--", color=BLUE, linewidth=2)
ax.plot(0, 0, "k*", markersize=12)
ax.text(6.2, -1.35, "gradient descent, 30 steps", color=RED)
ax.text(4.5, 1.25, "Newton, one step", color=BLUE)
ax.annotate("", (12.5, 0.55), (9.8, 1.2), arrowprops={"arrowstyle": "->", "color": BLUE})
ax.annotate("minimum", (0, 0), (-5.5, -1.0), arrowprops={"arrowstyle": "->"}, backgroundcolor="white")
ax.set(xlabel="x, the flat direction", ylabel="y, the steep direction", title="One valley, two methods")
plt.show()

# %% [markdown]
# **Picture.** Gradient descent (solid, with dots) jumps from one wall of the valley to the other and creeps along it;
# Newton's step (dashed) leads straight to the minimum (star). The axes have different scales. With equal ones the
# level lines would be five times longer than wide.
#
# ## The price of H
#
# A small network for digits, 784-400-150-10, has 375,660 parameters. Its Hessian has their square, as numbers of 8
# bytes `H: terabytes = 1.1`. Solving with it takes about $P^3/3$ operations, `solve: operations = 1.8e+16`. One
# gradient on a thousand cases takes about $2 \cdot 10^9$. So nobody forms $H$.

# %%
P = 784 * 400 + 400 + 400 * 150 + 150 + 150 * 10 + 10
print(f"P = {P}, H: terabytes = {8 * P**2 / 1e12:.1f}, solve: operations = {P**3 / 3:.1e}")
assert P == 375_660

# %% [markdown]
# ## Products with H are cheap
#
# Often we need not know $H$, but only $H v$ for some vectors $v$. This is the derivative of the gradient along $v$:
#
# $$H v = \lim_{\varepsilon \to 0} \frac{g(\theta + \varepsilon v) - g(\theta)}{\varepsilon} \tag{5}$$
#
# It costs about one more gradient. Lesson 1 computes it exactly, without the difference.

# %%
v = np.array([3.0, -2.0])
Hv = (gradient(start + 1e-6 * v) - gradient(start)) / 1e-6  # (5)
print(f"H v = ({Hv[0]:.2f}, {Hv[1]:.2f})")
assert np.allclose(Hv, [3, -50], rtol=1e-6)

# %% [markdown]
# For $v = (3, -2)$ the product is `H v = (3.00, -50.00)`, as it should be.
#
# ## Conjugate gradients solve with products alone
#
# The method of conjugate gradients (CG) solves $H d = -g$ and uses $H$ only in products, one per iteration. After $k$
# iterations it has the best $d$ among all combinations of $g, Hg, \dots, H^{k-1}g$. On a quadratic, gradient descent
# picks some element of the same space, so it cannot be better. Their errors after $k$ steps are at most
#
# $$\text{gradient descent: } \left(\frac{\kappa - 1}{\kappa + 1}\right)^k, \qquad
# \text{CG: } 2 \left(\frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}\right)^k \tag{6}$$
#
# The square root makes the difference. We take 500 variables with curvatures from 1 to 1000. After 100 products the
# errors relative to the start are `gradient descent: error > 0.05` and `conjugate gradients: error < 1e-5`.

# %%
curvatures = np.linspace(1, 1000, 500)
b = curvatures * np.ones(500)  # the solution is (1, ..., 1)


def error(x):
    """The distance to the solution in the norm of H, relative to that of x = 0."""
    return np.sqrt(np.sum(curvatures * (x - 1) ** 2) / np.sum(curvatures))


x, at_descent = np.zeros(500), [1.0]
for _ in range(100):
    x = x + 2 / 1001 * (b - curvatures * x)
    at_descent.append(error(x))

x, at_cg = np.zeros(500), [1.0]
r = p = b
for _ in range(100):  # conjugate gradients: lesson 3
    Ap = curvatures * p  # the only use of the matrix
    alpha = r @ r / (p @ Ap)
    x, old, r = x + alpha * p, r, r - alpha * Ap
    p = r + (r @ r) / (old @ old) * p
    at_cg.append(error(x))

k = np.arange(101)
bound = 2 * ((np.sqrt(1000) - 1) / (np.sqrt(1000) + 1)) ** k  # (6)
assert np.all(at_cg <= bound)
assert np.all(at_descent <= (999 / 1001) ** k)  # (6)
assert at_descent[-1] < at_descent[0]
assert at_descent[-1] > 0.05
assert at_cg[-1] < 1e-5
print("gradient descent: error > 0.05; conjugate gradients: error < 1e-5")

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.semilogy(k, at_descent, color=RED)
ax.semilogy(k, at_cg, "--", color=BLUE)
ax.semilogy(k, np.minimum(bound, 1), ":", color="0.3")
ax.text(60, 0.25, "gradient descent", color=RED)
ax.text(60, 2e-5, "conjugate gradients", color=BLUE, ha="right")
ax.text(77, 3.5e-2, "bound (6) of CG", color="0.3")
ax.set(xlabel="products with H", ylabel="error", title="500 variables, condition number 1000", ylim=(1e-6, 2))
plt.show()

# %% [markdown]
# **Picture.** On a logarithmic scale the error of gradient descent (solid) becomes nearly flat; that of conjugate
# gradients (dashed) falls faster and faster, and stays below its bound (dotted).
#
# ## CG inside a step: a Hessian-free method
#
# A real $f$ is not a quadratic. The model (4) is good only near $\theta$, and $H$ may be indefinite. Three additions
# make a method of it:
#
# - a positive semidefinite matrix in the place of $H$: for a sum of squares $f = |r|^2/2$ with $J = dr/d\theta$ it is
#   the Gauss-Newton matrix $G = J'J$ (lesson 2);
# - damping: solve $(G + \lambda I)\, d = -g$ with CG. A larger $\lambda$ makes shorter, safer steps;
# - a test: the *reduction ratio* $\rho$ compares the change of $f$ with that of the model. If $\rho$ is large, lower
#   $\lambda$; if it is small, raise it (lesson 5).
#
# $$(G + \lambda I)\, d = -g, \qquad \rho = \frac{f(\theta + d) - f(\theta)}{q(d) - q(0)} \tag{7}$$
#
# Here is all of it, on the curved valley of Rosenbrock, $f = \tfrac12 (1 - x)^2 + 50\,(y - x^2)^2$. Its minimum is at
# $(1, 1)$.


# %%
def residuals(theta):
    return np.array([1 - theta[0], 10 * (theta[1] - theta[0] ** 2)])


def jacobian(theta):
    return np.array([[-1.0, 0.0], [-20 * theta[0], 10.0]])


def valley(theta):
    return residuals(theta) @ residuals(theta) / 2


def conjugate_gradients(product, b, iterations):
    x, r, p = np.zeros_like(b), b, b
    for _ in range(iterations):
        if r @ r < 1e-24:
            break
        Ap = product(p)
        alpha = r @ r / (p @ Ap)
        x, old, r = x + alpha * p, r, r - alpha * Ap
        p = r + (r @ r) / (old @ old) * p
    return x


def hessian_free(theta, steps):
    damping, path = 1.0, [theta]
    for _ in range(steps):
        j = jacobian(theta)
        g = j.T @ residuals(theta)
        d = conjugate_gradients(lambda v, j=j, damping=damping: j.T @ (j @ v) + damping * v, -g, 2)  # (7)
        rho = (valley(theta + d) - valley(theta)) / (g @ d + (j @ d) @ (j @ d) / 2)  # (7)
        damping *= 2 / 3 if rho > 3 / 4 else 3 / 2 if rho < 1 / 4 else 1
        if rho > 0:
            theta = theta + d
        path.append(theta)
    return np.array(path)


start = np.array([-1.2, 1.0])
free = hessian_free(start, 20)
theta, plain = start, [start]
for _ in range(1000):
    theta = theta - 0.002 * jacobian(theta).T @ residuals(theta)
    plain.append(theta)
plain = np.array(plain)
print(f"gradient descent, 1000 steps: f = {valley(plain[-1]):.2f}")
assert valley(free[-1]) < 1e-8
print("Hessian-free, 20 steps: f < 1e-8")

# %% [markdown]
# The Hessian-free method is at the minimum after 20 steps of two products each, `Hessian-free, 20 steps: f < 1e-8`.
# Gradient descent is still on its way: `gradient descent, 1000 steps: f = 0.23`.

# %%
x, y = np.meshgrid(np.linspace(-1.5, 1.5, 200), np.linspace(-0.5, 1.8, 200))
fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
ax.contour(x, y, np.log10((1 - x) ** 2 / 2 + 50 * (y - x**2) ** 2 + 0.01), 10, colors="0.65", linewidths=0.8)
ax.plot(*plain.T, color=RED, linewidth=3)
ax.plot(*free.T, "o--", color=BLUE, markersize=4, linewidth=1)
ax.plot(1, 1, "k*", markersize=13)
ax.text(-1.02, 1.55, "start", ha="left")
ax.annotate("", start, (-1.0, 1.5), arrowprops={"arrowstyle": "->"})
arrow = {"arrowprops": {"arrowstyle": "->"}, "backgroundcolor": "white"}
ax.annotate("gradient descent ends here", plain[-1], (0.3, -0.35), color=RED, **arrow)
ax.annotate("Hessian-free, a dot a step", free[4], (-0.5, 1.2), color=BLUE, **arrow)
ax.annotate("minimum", (1, 1), (1.1, 0.6), **arrow)
ax.set(xlabel="x", ylabel="y", title="A curved valley")
plt.show()

# %% [markdown]
# **Picture.** Level lines of a valley bent like a horseshoe. The steps of the Hessian-free method (dots) are long and
# follow the bend to the minimum (star); a thousand small steps of gradient descent (thick line) do not arrive.
#
# ## Exercises
#
# **1.** How many steps does gradient descent take in valley (1) for $\kappa = 10{,}000$ instead of 25, for the same
# fall of $f$? Use (3) before you run it.
#
# <details><summary>Answer</summary>
#
# $f$ falls by $\left(\frac{\kappa - 1}{\kappa + 1}\right)^2 \approx e^{-4/\kappa}$ a step. So it takes about
# $\frac{\kappa}{4} \ln 10^6 \approx 34{,}500$ steps: the number of steps is proportional to the condition number.
#
# </details>

# %%
# Answer to exercise 1, checked
steps = np.log(1e-6) / (2 * np.log(9999 / 10001))
assert round(steps, -2) == 34_500
assert abs(steps / (10_000 / 4 * np.log(1e6)) - 1) < 1e-4

# %% [markdown]
# **2.** Scale the variable: let $u = 5 y$, so that $f = (x^2 + u^2)/2$ for $\kappa = 25$. How many steps does gradient
# descent take now? Does Newton's step change?
#
# <details><summary>Answer</summary>
#
# One step, with $\alpha = 1$: the valley is now round. Newton's step ends at the same point as before, because it does
# not depend on the units of the variables. Gradient descent does.
#
# </details>

# %%
# Answer to exercise 2, checked
u = np.array([25.0, 5.0])  # the start in the new variables
assert np.allclose(u - 1.0 * u, 0)

# %% [markdown]
# **3.** CG takes two iterations for valley (1), from any start. Why not one, and why not three?
#
# <details><summary>Answer</summary>
#
# After $k$ iterations the error is at most that of the best polynomial $q$ of degree $k$ with $q(0) = 1$, applied to
# $H$. With two eigenvalues, 1 and $\kappa$, a polynomial of degree two vanishes at both. One of degree one vanishes at
# one eigenvalue only. (Lesson 3.)
#
# </details>

# %%
# Answer to exercise 3, checked
b = np.array([1.0, 1.0])
errors = [np.linalg.norm(conjugate_gradients(lambda v: H @ v, b, k) - b / np.diag(H)) for k in (1, 2)]
assert errors[0] > 0.1
assert errors[1] < 1e-12

# %% [markdown]
# **4.** Take $\lambda$ very large in (7). Which method do you get?
#
# <details><summary>Answer</summary>
#
# $(G + \lambda I)\,d = -g$ becomes $\lambda d = -g$: gradient descent with the small rate $1/\lambda$. So damping
# leads from Newton's step, at $\lambda = 0$, to gradient descent.
#
# </details>

# %%
# Answer to exercise 4, checked
J, g = jacobian(start), jacobian(start).T @ residuals(start)
d = np.linalg.solve(J.T @ J + 1e8 * np.eye(2), -g)
assert np.allclose(d, -g / 1e8, rtol=1e-4)

# %% [markdown]
# ## What to remember
#
# - Gradient descent needs a number of steps proportional to the condition number; Newton's method does not feel it.
# - $H$ is too large to form, but a product $Hv$ costs about one gradient.
# - Conjugate gradients solve $Hd = -g$ from products alone; the condition number enters through its square root.
# - Hessian-free: each step solves a damped Newton equation by CG, and adapts the damping.
