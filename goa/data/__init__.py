"""From raw pairs to corpora, and the stores of candidates and rewards."""
