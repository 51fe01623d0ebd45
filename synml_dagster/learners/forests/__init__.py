"""What random forests and extremely randomised trees share: parameters, bounds of size, training, the model's text."""
