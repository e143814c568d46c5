"""What two checkpoints have in common, and a digest of one: over canonical tensors, whatever files they are in."""
