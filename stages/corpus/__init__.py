"""What the data are: shards, images, evaluation sets, attributes, prompts, and which rows are trained on."""
