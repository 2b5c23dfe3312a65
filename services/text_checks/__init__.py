"""Deterministic refusals: what a text may not say, lose or become. The gate holds them, and training data does too."""
