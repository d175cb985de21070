"""CLIP on the selected rows: any open_clip model, one process or many, resumable to the bit, watched as it learns."""
