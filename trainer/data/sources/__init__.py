"""One module a source: what its raw records look like, and how each becomes ratings in the trainer's schema."""
