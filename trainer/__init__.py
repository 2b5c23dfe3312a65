"""Human ratings in, a packaged judge checkpoint out: importers, splits, training, agreement, calibration, packaging."""
