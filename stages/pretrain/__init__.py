"""Train the default's text-to-image model: a small Stable Diffusion, with a bias that is known in advance.

Not part of the main graph: `data/pretrained/dvc.yaml` runs it, and its result, `data/pretrained/emoji-sd/`, is in git.
An autoencoder maps 64 px images to 8 × 8 latents; a text encoder and a denoiser learn captions to latents, on
permissive styles and the occupation shares of an older census, sharpened.
"""
