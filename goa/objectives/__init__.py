"""Objectives: tensors in; loss sum, weight sum and diagnostics out. Only the trainer divides."""
