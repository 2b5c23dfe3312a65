"""A judge checkpoint: manifest, calibration and golden set, and how a folder is verified before anything loads it."""
