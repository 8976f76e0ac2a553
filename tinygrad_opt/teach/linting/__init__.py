"""The rules of `lint`, by what they look at: the loop, the model, the numbers."""
