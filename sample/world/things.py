"""The things of the sample world: their emoji, their names, and the company they keep."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Thing:
    """One thing: its emoji, its names (the first is the usual one), its kind and its verb."""

    emoji: str
    names: tuple[str, ...]
    kind: str
    verb: str

    @property
    def name(self) -> str:
        """The usual name."""
        return self.names[0]


_IRREGULAR_PLURALS = {"sheep": "sheep", "fish": "fish"}

# kind of thing: (verb used of it, entries of an emoji and names separated by '/')
_CATALOGUE: dict[str, tuple[str, tuple[str, ...]]] = {
    "animal": (
        "standing",
        (
            "🐕 dog/puppy", "🐈 cat/kitten", "🐎 horse", "🐄 cow", "🐖 pig", "🐑 sheep",
            "🐘 elephant", "🐇 rabbit/bunny", "🐓 rooster/chicken", "🦆 duck", "🦉 owl",
            "🐧 penguin", "🐢 turtle/tortoise", "🐟 fish", "🦋 butterfly", "🐒 monkey",
            "🐸 frog", "🦁 lion", "🐙 octopus", "🐳 whale",
        ),
    ),
    "food": (
        "lying",
        (
            "🍎 apple", "🍌 banana", "🍓 strawberry", "🍉 watermelon", "🍍 pineapple",
            "🥕 carrot", "🍕 pizza", "🍔 hamburger/burger", "🍩 doughnut/donut",
            "🎂 birthday cake/cake", "🍋 lemon", "🍄 mushroom",
        ),
    ),
    "vehicle": (
        "parked",
        (
            "🚗 car/automobile", "🚌 bus", "🚚 truck/lorry", "🚜 tractor", "🚲 bicycle/bike",
            "🛵 scooter", "🚂 train/locomotive", "🚁 helicopter", "🚀 rocket",
            "⛵ sailboat/boat",
        ),
    ),
    "instrument": (
        "lying",
        ("🎸 guitar", "🎻 violin", "🎺 trumpet", "🥁 drum", "🎷 saxophone"),
    ),
    "sport": (
        "lying",
        ("⚽ soccer ball", "🏀 basketball", "🎾 tennis racket", "🛹 skateboard", "🏆 trophy"),
    ),
    "plant": (
        "growing",
        ("🌹 rose", "🌻 sunflower", "🌷 tulip", "🌵 cactus", "🌴 palm tree"),
    ),
    "building": ("standing", ("🏠 house", "🏰 castle", "⛺ tent")),
    "object": (
        "lying",
        (
            "⏰ alarm clock/clock", "🎈 balloon", "📷 camera", "🪑 chair", "📕 book",
            "🎁 gift/present",
        ),
    ),
}  # fmt: skip

# What each thing is seen with in natural scenes, as a dog and a ball are in photographs.
_COMPANY: dict[str, tuple[str, ...]] = {
    "dog": ("soccer ball", "house", "skateboard", "tent"),
    "cat": ("chair", "book", "gift", "guitar"),
    "horse": ("castle", "tractor", "trophy"),
    "cow": ("tractor", "sunflower", "house"),
    "pig": ("apple", "mushroom", "truck"),
    "sheep": ("rose", "tent", "violin"),
    "elephant": ("palm tree", "watermelon", "drum"),
    "rabbit": ("carrot", "tulip", "strawberry"),
    "rooster": ("sunflower", "alarm clock", "trumpet"),
    "duck": ("sailboat", "tulip", "balloon"),
    "owl": ("book", "castle", "saxophone"),
    "penguin": ("camera", "sailboat", "skateboard"),
    "turtle": ("cactus", "scooter", "trophy"),
    "fish": ("lemon", "sailboat", "chair"),
    "butterfly": ("rose", "sunflower", "basketball"),
    "monkey": ("banana", "palm tree", "bicycle"),
    "frog": ("mushroom", "violin", "rocket"),
    "lion": ("cactus", "trophy", "drum"),
    "octopus": ("saxophone", "basketball", "tennis racket"),
    "whale": ("helicopter", "balloon", "palm tree"),
    "apple": ("book", "bicycle", "basketball"),
    "banana": ("tennis racket", "chair", "camera"),
    "strawberry": ("birthday cake", "rose", "gift"),
    "watermelon": ("tent", "palm tree", "truck"),
    "pineapple": ("palm tree", "guitar", "train"),
    "carrot": ("truck", "alarm clock"),
    "pizza": ("car", "scooter", "soccer ball"),
    "hamburger": ("car", "skateboard", "tennis racket"),
    "doughnut": ("bus", "balloon", "book"),
    "birthday cake": ("gift", "balloon", "camera"),
    "lemon": ("bicycle", "violin", "cactus"),
    "mushroom": ("tent", "house", "rocket"),
    "car": ("house", "trophy", "camera"),
    "bus": ("castle", "chair", "soccer ball"),
    "train": ("house", "alarm clock", "gift"),
    "helicopter": ("castle", "drum", "sunflower"),
    "rocket": ("trumpet", "alarm clock"),
    "trumpet": ("trophy", "tulip"),
}


def plural(name: str) -> str:
    """The plural of a thing's name: 'strawberry' -> 'strawberries'."""
    if name in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[name]
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def with_article(words: str) -> str:
    """The words with 'a' or 'an' in front."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _read_catalogue() -> tuple[Thing, ...]:
    things = []
    for kind, (verb, entries) in _CATALOGUE.items():
        for entry in entries:
            emoji, names = entry.split(" ", 1)
            things.append(Thing(emoji, tuple(names.split("/")), kind, verb))
    return tuple(things)


THINGS = _read_catalogue()
THING_OF_NAME = {thing.name: thing for thing in THINGS}


@cache
def companions() -> tuple[tuple[Thing, Thing], ...]:
    """The pairs of things that natural scenes hold together, each pair once."""
    return tuple(
        (THING_OF_NAME[name], THING_OF_NAME[other])
        for name, others in _COMPANY.items()
        for other in others
    )
