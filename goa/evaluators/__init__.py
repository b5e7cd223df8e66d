"""Evaluators: samples in, floats in [0, 1] out; the same object is reward and metric."""
