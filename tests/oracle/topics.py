"""Topics of test vectors: for each file its description and a generator of (name, request)."""

from oracle import block_requests, idx_requests, network_requests, saddle_requests, solver_requests, step_requests

TOPICS = {
    "nonlinearity": ("f, f' and f'' of each number s.", network_requests.nonlinearity),
    "loss": ("Mean loss over the cases, its gradient in z, and its Hessian's product with Rz.", network_requests.loss),
    "gradient": ("Value and gradient of dense networks.", network_requests.gradient),
    "hessian_product": ("H v of dense networks.", network_requests.hessian_product),
    "gauss_newton_product": ("G v of dense networks.", network_requests.gauss_newton_product),
    "convolution": ("Gradient, H v and G v of convolutional networks.", network_requests.convolution),
    "layer_norm": ("Gradient, H v and G v of networks with layer normalisation.", block_requests.layer_norm),
    "batch_norm": ("The same with batch normalisation over groups of cases.", block_requests.batch_norm),
    "attention": ("The same with self-attention, causal and not.", block_requests.attention),
    "residual": ("The same with residual blocks.", block_requests.residual),
    "embedding": ("The same with an embedding of tokens and positions.", block_requests.embedding),
    "max_pooling": ("The same with max pooling.", block_requests.max_pooling),
    "residual_network": ("The same of a residual network of eight layers.", block_requests.residual_network),
    "transformer": ("The same of a transformer of two layers.", block_requests.transformer),
    "tied_weights": ("The same with weights that stand in two places.", block_requests.tied_weights),
    "bottleneck": ("The same with bottleneck blocks, and of a network of eleven layers.", block_requests.bottleneck),
    "preactivation": (
        "The same with pre-activation blocks, and of a network of eight layers.",
        block_requests.preactivation,
    ),
    "cg": ("Iterates of conjugate gradients, and why they end.", solver_requests.cg),
    "bicgstab": ("Iterates of Bi-CG-STAB, and why they end.", solver_requests.bicgstab),
    "solve": ("A solver's answer with its stopping rule, and whether it converged.", solver_requests.solve),
    "damping": ("The model's promise, the reduction ratio, the next lambda.", step_requests.damping),
    "line_search": ("Armijo's step length along a polynomial.", step_requests.line_search),
    "hf_step": ("One whole step of a Hessian-free method.", step_requests.hf_step),
    "nlcg": ("Points and betas of nonlinear conjugate gradients on quadratics.", step_requests.nlcg),
    "inverse_hessian_product": ("H^-1 z from the differences between replicas.", step_requests.inverse_hessian_product),
    "saddle": ("x^2/2 + y^4/4 - y^2/2: value, gradient, Hessian, stationary points.", saddle_requests.saddle),
    "idx": ("IDX files of unsigned bytes: shape and data, or not valid.", idx_requests.idx),
}
