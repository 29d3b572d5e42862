"""COCO's 80 categories, and the plain words by which captions name them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORDS = """
person: man, woman, boy, girl, child, kid, people, person, men, women, boys, girls, children, \
kids, guy, lady, player, skier, surfer, snowboarder, skateboarder, rider
bicycle: bicycle, bike, bicycles, bikes
car: car, cars
motorcycle: motorcycle, motorcycles, motorbike, motorbikes
airplane: airplane, plane, airplanes, planes, jet, jets, aircraft
bus: bus, buses
train: train, trains
truck: truck, trucks
boat: boat, boats, sailboat, ship
traffic light: traffic light, traffic lights, stoplight, stop light
fire hydrant: fire hydrant, hydrant, fire hydrants
stop sign: stop sign, stop signs
parking meter: parking meter, parking meters
bench: bench, benches
bird: bird, birds, seagull, duck, ducks
cat: cat, cats, kitten, kittens
dog: dog, dogs, puppy, puppies
horse: horse, horses
sheep: sheep, lamb, lambs
cow: cow, cows, cattle, bull
elephant: elephant, elephants
bear: bear, bears
zebra: zebra, zebras
giraffe: giraffe, giraffes
backpack: backpack, backpacks
umbrella: umbrella, umbrellas
handbag: handbag, purse
tie: tie, neck-tie, necktie
suitcase: suitcase, suitcases, luggage
frisbee: frisbee, frisbees
skis: ski, skis, skier, skiers, skiing
snowboard: snowboard, snowboards, snowboarder, snowboarding
sports ball: ball, soccer ball, tennis ball, baseball ball
kite: kite, kites
baseball bat: baseball bat, bat
baseball glove: baseball glove, glove, mitt
skateboard: skateboard, skateboards, skateboarder, skateboarding
surfboard: surfboard, surfboards, surfer, surfers
tennis racket: tennis racket, tennis racquet, racket, racquet
bottle: bottle, bottles
wine glass: wine glass, wine glasses
cup: cup, cups, mug
fork: fork, forks
knife: knife, knives
spoon: spoon, spoons
bowl: bowl, bowls
banana: banana, bananas
apple: apple, apples
sandwich: sandwich, sandwiches
orange: oranges, an orange
broccoli: broccoli
carrot: carrot, carrots
hot dog: hot dog, hot dogs, hotdog
pizza: pizza, pizzas
donut: donut, donuts, doughnut, doughnuts
cake: cake, cakes
chair: chair, chairs
couch: couch, sofa, couches
potted plant: potted plant, potted plants, houseplant
bed: bed, beds
dining table: table, tables
toilet: toilet, toilets
tv: tv, television, tvs, televisions
laptop: laptop, laptops
mouse: mouse
remote: remote, remotes, controller
keyboard: keyboard, keyboards
cell phone: cell phone, cellphone, phone, smartphone, cell phones
microwave: microwave
oven: oven, stove
toaster: toaster
sink: sink, sinks
refrigerator: refrigerator, fridge
book: book, books
clock: clock, clocks
vase: vase, vases
scissors: scissors
teddy bear: teddy bear, teddy bears, stuffed bear
hair drier: hair drier, hair dryer
toothbrush: toothbrush, toothbrushes
"""

CATEGORIES: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (name, tuple(words.split(", ")))
    for name, words in (line.split(": ") for line in _WORDS.strip().splitlines())
)
"""Each category with its words: the name, its plural, and what else people call it."""

_PATTERNS = [re.compile(rf"\b({'|'.join(map(re.escape, words))})\b") for _, words in CATEGORIES]
_TOYS_AND_FOOD = (("teddy bear", "teddy"), ("stuffed bear", "teddy"), ("hot dog", "hotdog"))
"""What is called a bear or a dog, and is none."""


def named_in(captions: Sequence[str]) -> list[bool]:
    """Which categories one of the captions names."""
    text = " ; ".join(captions).lower()
    bare = text
    for phrase, other in _TOYS_AND_FOOD:
        bare = bare.replace(phrase, other)
    own = {"teddy bear", "hot dog"}
    return [
        bool(pattern.search(text if name in own else bare))
        for (name, _), pattern in zip(CATEGORIES, _PATTERNS, strict=True)
    ]
