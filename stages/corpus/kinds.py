"""What an evaluation set is for: settings name it, so this imports nothing that is slow to load."""

from typing import Literal

Kind = Literal["retrieval", "persons", "objects"]
KINDS: dict[str, Kind] = {  # retrieval: by captions; persons: without any cue for labels; objects: classes, no persons
    **dict.fromkeys(("people", "phase", "coco_gender", "coco"), "retrieval"),
    **dict.fromkeys(("portraits", "fairface", "utkface", "miap"), "persons"),
    **dict.fromkeys(("objects", "imagenet"), "objects"),
}
