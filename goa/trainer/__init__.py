"""The trainer: one loop for likelihood and for reward."""
