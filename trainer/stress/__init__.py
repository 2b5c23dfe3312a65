"""How a judge does beyond its training data: authored pairs of replies, harmful replies, and what length explains."""
