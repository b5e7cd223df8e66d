"""Tracking: metrics and progress to local files, and from there to MLflow."""
