"""Ratings from outside, validated once at the edge into one Parquet schema, split by question, and described."""
