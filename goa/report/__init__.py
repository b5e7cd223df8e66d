"""Comparing policies: numbers, tests, pictures and pages that people read."""
