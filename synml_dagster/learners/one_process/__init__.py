"""What families that are trained in one process share: rows in memory, checked parameters, losses, the learner itself."""
