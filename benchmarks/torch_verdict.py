"""From a PyTorch model to a verdict: the lines of `examples/check_torch_model.py`, timed at 100,000 parameters.

    OMP_NUM_THREADS=1 python benchmarks/torch_verdict.py

Seconds of `from_torch` and `check_hessian_product`, and of `compare_recipes` on the same model.
"""

import time

import torch
from torch import nn

import refhf

torch.manual_seed(0)
MODELS = {
    "Linear": (nn.Sequential(nn.Linear(784, 120), nn.Tanh(), nn.Linear(120, 50), nn.Tanh(), nn.Linear(50, 10)), (784,)),
    "Conv2d and BatchNorm2d": (
        nn.Sequential(
            nn.Conv2d(1, 8, 5), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(1152, 86),
            nn.LayerNorm(86), nn.GELU(), nn.Linear(86, 10),
        ),
        (1, 28, 28),
    ),
}  # fmt: skip
CASES = 64


def product_of(model, loss, X, y):
    """(theta, v) -> H v, reverse over reverse."""
    names, parameters = zip(*model.named_parameters(), strict=True)

    def f(theta):
        parts = theta.split([p.numel() for p in parameters])
        weights = {name: part.view_as(p) for name, part, p in zip(names, parts, parameters, strict=True)}
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return loss(torch.func.functional_call(model, weights | buffers, (X,)), y)

    return lambda theta, v: torch.autograd.functional.vhp(f, theta, v)[1]


for dtype in torch.float64, torch.float32:
    for name, (model, shape) in MODELS.items():
        model, loss = model.to(dtype), nn.CrossEntropyLoss()
        X, y = torch.randn(CASES, *shape, dtype=dtype), torch.randint(10, (CASES,))
        my_hvp = product_of(model, loss, X, y)
        start = time.perf_counter()
        objective, theta = refhf.from_torch(model, loss, X, y)
        made = time.perf_counter()
        report = refhf.check_hessian_product(my_hvp, theta, objective)
        end = time.perf_counter()
        print(f"{name}, {dtype}, P = {len(theta):,}: {report.verdict.splitlines()[0]}")
        print(f"  from_torch {made - start:.2f} s, check_hessian_product {end - made:.2f} s, both {end - start:.2f} s")
        assert report.passed
        if dtype is torch.float64:
            start = time.perf_counter()
            recipes = refhf.compare_recipes(model, loss, X, y)
            print(f"  compare_recipes {time.perf_counter() - start:.2f} s, {recipes.verdict}")
