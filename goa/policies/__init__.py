"""Policies: language models with their tokenizers; text to ids to log-probs and back."""
