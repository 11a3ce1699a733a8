"""Test vectors: requests with right replies for implementations in any language; README.md documents the protocol.

Reading order: `load_vectors` (the files), `network_operations`, `solver_operations`, `step_operations`,
`vector_operations` (refhf's own replies), `adapter_process` (a user's program), `batch_files`, `reply_comparison`,
`vector_run`, `suspected_mistakes`.
"""
