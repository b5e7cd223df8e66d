"""Rollouts: sources with their candidates and, where they were scored, rewards."""
