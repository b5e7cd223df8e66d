"""Decoding: candidates for sources, each with its exact log-probability."""
