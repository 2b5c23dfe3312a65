"""Supervised and reinforcement training of the judge, from imported ratings to an adapter."""
