"""From a trained adapter and its evidence to an immutable checkpoint folder, and back to something readable."""
