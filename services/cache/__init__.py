"""Remembering answers: the cache port and its two adapters, sealing, and computing each thing once."""
