"""Suites that a port's every adapter passes: the real ones and the fakes."""
