"""Test vectors: requests and right replies, an adapter, and the run that compares them."""
