"""Measuring a policy's outputs: every metric with its bootstrap interval, kept on disk whole."""
