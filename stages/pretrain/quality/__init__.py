"""Quality and known bias of the text-to-image model, as a recogniser reads it."""
