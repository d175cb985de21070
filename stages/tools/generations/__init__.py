"""`generations`: models learn from images of models that learned from images of models."""
