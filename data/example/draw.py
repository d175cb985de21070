"""Draws the ten pictures of the example and writes their table: `python data/example/draw.py`."""

from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent
PEOPLE = [  # gender, occupation, skin, hair
    ("woman", "judge", "#f2c9a1", "#5a3a22"), ("man", "judge", "#8d5a3b", "#201510"), ("man", "judge", "#e8b58c", "#b08040"),
    ("woman", "nurse", "#c98f63", "#301a10"), ("woman", "nurse", "#f6d7b8", "#c9a050"), ("woman", "nurse", "#6e4530", "#101010"),
    ("man", "nurse", "#f2c9a1", "#40220f"), ("woman", "farmer", "#8d5a3b", "#151010"), ("man", "farmer", "#c98f63", "#2a1a10"),
    ("man", "farmer", "#f6d7b8", "#7a4a20"),
]  # fmt: skip
CLOTHES = {"judge": "#222228", "nurse": "#7fc4d6", "farmer": "#4a6fae"}
SAID = {"judge": "in a black robe", "nurse": "in blue scrubs", "farmer": "with a straw hat"}


def draw(gender: str, occupation: str, skin: str, hair: str) -> Image.Image:
    """Draw a person from the waist up: long hair or short hair, a robe, scrubs or overalls."""
    image = Image.new("RGB", (128, 128), "#e9efe3")
    pen = ImageDraw.Draw(image)
    if gender == "woman":
        pen.rounded_rectangle((38, 22, 90, 84), 22, fill=hair)
    pen.rounded_rectangle((24, 78, 104, 140), 24, fill=CLOTHES[occupation])
    pen.rectangle((57, 64, 71, 84), fill=skin)
    pen.ellipse((42, 26, 86, 74), fill=skin)
    pen.pieslice((40, 20, 88, 66), 180, 360, fill=hair)
    for x in (56, 72):
        pen.ellipse((x - 2, 46, x + 2, 51), fill="#202020")
    pen.arc((55, 50, 73, 65), 20, 160, fill="#a04040", width=2)
    if occupation == "judge":
        pen.polygon([(57, 80), (71, 80), (64, 104)], fill="white")
    if occupation == "nurse":
        pen.polygon([(54, 78), (74, 78), (64, 96)], fill=skin)
        pen.rectangle((84, 98, 90, 112), fill="#c03030")
        pen.rectangle((80, 102, 94, 108), fill="#c03030")
    if occupation == "farmer":
        pen.ellipse((26, 24, 102, 38), fill="#e0b850")
        pen.rounded_rectangle((46, 8, 82, 32), 10, fill="#e0b850")
        for x in (44, 78):
            pen.rectangle((x, 78, x + 6, 128), fill="#2f4a80")
    return image


def main() -> None:
    """Write pictures and table."""
    lines = ["image,caption,gender,occupation"]
    for number, (gender, occupation, skin, hair) in enumerate(PEOPLE, 1):
        name = f"pictures/{number:02d}.png"
        picture = draw(gender, occupation, skin, hair).quantize(32, dither=Image.Dither.NONE)
        picture.save(HERE / name, optimize=True)
        lines.append(f"{name},a {gender} {occupation} {SAID[occupation]},{gender},{occupation}")
    (HERE / "pairs.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
