"""One synthetic image a caption, by a latent diffusion model in the Stable Diffusion format; α plays no part here."""
