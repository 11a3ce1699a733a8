"""The public checks: each calls user code, tests laws, and returns a `CheckReport`.

Reading order: `user_function` (defensive calls), `derivative_check` (what all derivative checks share);
`check_conventions` (under which a function may be right too); `gradient_checker`; `product_laws`, `product_damping`,
`product_check`, `product_checker`; `output_check`, `network_checker`; then `solver_under_test`, `solver_trial`,
`iterate_laws`, `stopping_laws`, `solver_conventions`, `solver_checker`.
"""
