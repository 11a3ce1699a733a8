"""Objectives: value, gradient, curvature and sampling."""
