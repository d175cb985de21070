"""Captioners on top of the trained CLIP: ClipCap and an encoder-decoder, trained on the rows that CLIP saw."""
