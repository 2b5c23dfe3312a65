"""Deterministic crisis handling: the screen, whom to turn to, and the fixed messages. No model takes part."""
