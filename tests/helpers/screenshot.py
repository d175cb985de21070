"""The screenshot of docs/pull-requests.md: its example as GitHub shows it; made again by

    python -m tests.helpers.screenshot

The text that it shows stands in the picture's metadata as a hash, so that a test notices an old picture.
"""

import hashlib
import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "pull-request.png"
PAGE = (ROOT / "docs" / "pull-requests.md").read_text()
KEY = "sha256 of the comment"
SIZE = (960, 1000)  # pixels: the verdict, the parameters, the ten metrics and why it failed


def example() -> str:
    """Return the comment that the page quotes."""
    quoted = PAGE.split("<!-- example -->")[1]
    return "\n".join(line.removeprefix("> ").removeprefix(">") for line in quoted.strip().splitlines())


def digest(text: str) -> str:
    """Return what the picture states of the text that it shows."""
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Draw the comment."""
    template = Path(__file__).with_name("comment.html").read_text()
    html = template.replace("{{ comment }}", MarkdownIt("commonmark").enable("table").render(example()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "comment.html").write_text(html)
        command = [
            shutil.which("chromium") or "google-chrome", "--headless", "--no-sandbox", "--disable-gpu",
            "--hide-scrollbars", f"--user-data-dir={folder / 'user'}", f"--screenshot={folder / 'shot.png'}",
            f"--window-size={SIZE[0]},{SIZE[1]}", (folder / "comment.html").as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        drawn = Image.open(io.BytesIO((folder / "shot.png").read_bytes())).convert("RGB")
    said = PngInfo()
    said.add_text(KEY, digest(example()))
    drawn.quantize(48, dither=Image.Dither.NONE).save(PICTURE, optimize=True, pnginfo=said)


if __name__ == "__main__":
    main()
