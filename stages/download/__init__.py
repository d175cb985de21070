"""The corpus and the evaluation sets, from where they are published."""
