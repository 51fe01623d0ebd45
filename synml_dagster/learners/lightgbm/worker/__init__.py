"""What one rank of a training does."""
