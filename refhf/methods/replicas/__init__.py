"""Newton steps from the differences between replicas: Arnold and Wang.

Read in this order:

1. `secants`: section 2, the inverse Hessian on the span of the replicas' differences.
2. `replica_step`: one step of all replicas (equation 1), and the readings of G's columns.
3. `replica_topology`: the synchronisation over ranks.
"""
