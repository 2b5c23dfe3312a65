"""The HTTP edge that every service has: app factory, problems, keys, rate limits, serving."""
