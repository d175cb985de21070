"""Corpora that the user supplies: a url list (CC3M), a WebDataset folder, or a table of image files."""
