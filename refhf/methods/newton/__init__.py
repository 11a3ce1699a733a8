"""Newton's method, and three methods that do not stop at saddles.

Read in this order:

1. `exact_newton`: H s = -g, taken as it is (Nocedal and Wright 2006, section 3.3).
2. `truncated_newton`: conjugate gradients cut at negative curvature (He et al. 2016, Algorithm 1), or continued to the
   boundary of a trust region (Steihaug 1983).
3. `saddle_free`: |H| in place of H (Dauphin et al. 2014).
4. `negative_curvature`: a Newton step joined with a direction of negative curvature from a random probe (More and
   Sorensen 1979; He et al. 2016, section 4.2).

`newton_detail` has the fields that the first three add to a report.
"""
