"""The public checks: each calls user code, tests laws, and returns a `CheckReport`.

Reading order: `user_function` (defensive calls), `derivative_check` (what all derivative checks share);
`gradient_checker`; `product_laws`, `product_check`, `product_checker`; `network_checker`; then `solver_under_test`,
`solver_trial`, `iterate_laws`, `stopping_laws`, `solver_checker`.
"""
