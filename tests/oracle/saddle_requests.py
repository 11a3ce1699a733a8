"""Requests about the saddle surface: (name, request)."""


def saddle():
    """The paper's surface at ordinary points, on its lines of symmetry, and at its three stationary points."""
    for x, y in ((1.0, 0.0), (0.0, 0.5), (0.5, -0.25), (-1.25, 0.75), (0.1, 0.9), (2.0, 3.0), (0.3, -1.1)):
        yield f"at-{x:g}-{y:g}", {"operation": "saddle", "theta": [x, y]}
    for name, x, y in (("saddle", 0.0, 0.0), ("minimum-up", 0.0, 1.0), ("minimum-down", 0.0, -1.0)):
        yield f"at-the-{name}", {"operation": "saddle", "theta": [x, y]}
        yield f"kind-of-the-{name}", {"operation": "stationary_point", "theta": [x, y]}
    yield "kind-elsewhere", {"operation": "stationary_point", "theta": [0.5, 0.0]}
    yield "kind-on-the-line", {"operation": "stationary_point", "theta": [0.0, 0.5]}
