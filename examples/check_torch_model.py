"""A PyTorch model's Hessian product, checked in three lines: `python examples/check_torch_model.py`."""

# %% [markdown]
# You have a model, a loss, a batch, and a function that computes Hessian products. Is it right?

# %%
import torch
from torch import nn

import refhf

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)  # float32 is checked to float32's digits
model = nn.Sequential(
    nn.Conv2d(1, 4, 5, bias=False), nn.BatchNorm2d(4), nn.Tanh(), nn.AvgPool2d(2),
    nn.Flatten(), nn.Linear(64, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 10),
)  # fmt: skip
loss, X, y = nn.CrossEntropyLoss(), torch.randn(20, 1, 12, 12), torch.randint(10, (20,))

# %% [markdown]
# Your product takes theta and v, vectors in the order of `model.parameters()`. This one is reverse over reverse.


# %%
def loss_at(theta):
    names, parameters = zip(*model.named_parameters())
    parts = theta.split([p.numel() for p in parameters])
    weights = {name: part.view_as(p) for name, part, p in zip(names, parts, parameters)}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    return loss(torch.func.functional_call(model, weights | buffers, (X,)), y)


def my_hvp(theta, v):
    gradient = torch.func.grad(loss_at)
    return torch.func.grad(lambda t: gradient(t) @ v)(theta)


# %% [markdown]
# The three lines. `from_torch` builds the same model in NumPy, with Hessian products written by hand; theta and the
# products keep PyTorch's order and layout. The report says, law by law, to how many digits your product is right.

# %%
objective, theta = refhf.from_torch(model, loss, X, y)
report = refhf.check_hessian_product(my_hvp, theta, objective)
print(report)
assert report.passed

# %% [markdown]
# A wrong product gets a diagnosis. The two commonest mistakes: the sum over the cases where the loss is their mean, and
# the Gauss-Newton product in the Hessian's place, here refhf's own.


# %%
def summed(theta, v):
    return len(X) * my_hvp(theta, v)


def gauss_newton(theta, v):
    return torch.as_tensor(objective.gauss_newton(theta) @ v.numpy())


for wrong in summed, gauss_newton:
    report = refhf.check_hessian_product(wrong, theta, objective)
    print(f"\n{wrong.__name__}: {report.verdict}", *report.causes, sep="\n  ")
    assert not report.passed and report.causes

# %% [markdown]
# In pytest the same is one line, with the fixture that refhf brings:
#
#     def test_my_hvp(assert_hessian_product):
#         assert_hessian_product(my_hvp, model, (X, y), loss=loss)
#
# A block of your own is taken apart by `known`. A pair of lists is a residual block: what is added, and the shortcut.


# %%
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x):
        return x + torch.relu(self.linear(self.norm(x)))


KNOWN = {Block: lambda m: [([m.norm, m.linear, nn.ReLU()], [])]}
model, X = nn.Sequential(nn.Linear(8, 6), Block(6), Block(6), nn.Linear(6, 10)), torch.randn(20, 8)
objective, theta = refhf.from_torch(model, loss, X, y, known=KNOWN)
report = refhf.check_hessian_product(my_hvp, theta, objective)
print(f"\nwith a block of one's own: {report.verdict}")
assert report.passed
