"""pytest's plugin of refhf: two fixtures for tests of your own products.

    def test_product(assert_hessian_product):
        assert_hessian_product(my_hvp, model, (X, y), loss=torch.nn.CrossEntropyLoss())

pytest imports this file in each of its runs; it imports refhf only where a fixture is used.
"""

import pytest


@pytest.fixture
def hessian_reference():
    """The function `(model, loss, batch)` or `(objective, theta=...)` to the reference of its Hessian products."""
    from refhf.conformance.hessian_reference import hessian_reference

    return hessian_reference


@pytest.fixture
def assert_hessian_product():
    """The function `(product, model, batch, loss=...)` that fails with refhf's diagnosis if product is wrong."""
    from refhf.conformance.hessian_reference import product_report

    def asserted(product, model, batch=None, **options):
        __tracebackhide__ = True
        report = product_report(product, model, batch, **options)
        if not report.passed:
            pytest.fail(str(report), pytrace=False)
        return report

    return asserted
