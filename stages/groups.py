"""The groups of each sensitive attribute that images of the corpus are counted in (`stages.attributes` says why)."""

GROUPS = {"gender": ("woman", "man"), "skin_tone": ("lighter", "darker")}
