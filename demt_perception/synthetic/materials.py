"""Surfaces by name: what each looks like in one scene."""

import colorsys
from typing import Any

import numpy as np

from demt_perception.synthetic.shading import build
from demt_perception.synthetic.weather import Weather

PAINTS = ((.8, .8, .8), (.6, .62, .63), (.02, .02, .022), (.05, .05, .055), (.25, .26, .27),
          (.45, .02, .02), (.02, .06, .3), (.01, .03, .12), (.3, .28, .22), (.05, .12, .06),
          (.75, .7, .6), (.6, .35, .03), (.15, .3, .45), (.25, .08, .03))


class Materials:
    """Makes each material of a scene when it is first asked for."""

    def __init__(self, bpy: Any, rng: np.random.Generator, air: Weather):
        self._bpy = bpy
        self._made: dict[str, Any] = {}
        self._looks = looks(rng, air)

    def __call__(self, name: str) -> Any:
        """Return the Blender material of a name.

        Raises:
            KeyError: no such name in `looks`.
        """
        if name not in self._made:
            self._made[name] = build(self._bpy, name, self._looks[name])
        return self._made[name]


def looks(rng: np.random.Generator, air: Weather) -> dict[str, dict]:
    """Draw colour (linear RGB), roughness and texture of every material of a scene."""
    def hsv(h, s, v):
        return colorsys.hsv_to_rgb(rng.uniform(*h) % 1, rng.uniform(*s), rng.uniform(*v))

    wet, night = air.wet, air.lamps
    dim = .6 if wet else 1.
    grey = rng.uniform(0.045, rng.choice([.1, .17, .24])) * dim
    tint = np.array([1, rng.uniform(0.96, 1.0), rng.uniform(.9, 1.03)])
    worn = {'kind': 'road', 'rough': 0.25 if wet else rng.uniform(0.7, 0.95), 'wet': wet,
            'tracks': rng.uniform(-.3, .45), 'dirt': rng.uniform(0, .5)}
    look = {
        'asphalt': {**worn, 'color': grey * tint, 'slab': 0.,
                    'patched': rng.random() < .45, 'cracked': rng.random() < .4},
        'concrete': {**worn, 'color': rng.uniform(.15, .34) * dim * np.array(
            [1, rng.uniform(.95, 1.), rng.uniform(.82, 1.)]), 'slab': rng.uniform(4, 9),
            'patched': rng.random() < .3, 'cracked': rng.random() < .3},
        'patch': {'kind': 'asphalt', 'color': grey * tint * rng.uniform(.45, .8), 'rough': .85},
        'white': {'kind': 'worn', 'color': np.full(3, rng.uniform(.35, .8)), 'under': grey * tint,
                  'rough': 0.7, 'wear': rng.uniform(0.3, 0.5)},
        'yellow': {'kind': 'worn', 'color': (.6, .35, .03), 'under': grey * tint, 'rough': 0.7,
                   'wear': rng.uniform(0.3, 0.5)},
        'pavement': {'kind': str(rng.choice(['slabs', 'slabs', 'noise', 'asphalt'])),
                     'color': rng.uniform(.1, .4) * (.65 if wet else 1.) * np.array(
                         [1, rng.uniform(.9, 1), rng.uniform(.72, 1)]),
                     'rough': .3 if wet else .85, 'scale': rng.uniform(.6, 2.5), 'amount': .3},
        'kerb': {'kind': 'noise', 'color': np.full(3, rng.uniform(.2, .45)), 'rough': .9,
                 'scale': 6, 'amount': .25},
        'grass': {'kind': 'grass', 'color': hsv((.17, .29), (.45, .75), (.06, .18)), 'rough': 1.,
                  'dry': hsv((.1, .15), (.4, .6), (.15, .3))},
        'bark': {'kind': 'noise', 'color': hsv((.05, .1), (.2, .5), (.05, .18)), 'rough': 1.,
                 'scale': 9, 'amount': .5},
        'wood': {'kind': 'noise', 'color': hsv((.05, .1), (.3, .7), (.08, .3)), 'rough': .8,
                 'scale': 3, 'amount': .4},
        'metal': {'kind': 'noise', 'color': np.full(3, rng.choice([.03, .12, .35])), 'rough': .5,
                  'scale': 2, 'amount': .2},
        'glass0': {'kind': 'pane', 'color': (.02, .025, .03), 'rough': .05},
        'glass1': {'kind': 'pane', 'color': hsv((.5, .65), (.2, .5), (.04, .12)), 'rough': .03},
        'glass2': {'kind': 'pane', 'color': hsv((.08, .15), (.05, .3), (.25, .6)), 'rough': .15,
                   'glow': rng.uniform(.3, 2.5) if night else 0.},
        'frame': {'kind': 'noise', 'color': hsv((0, 1), (0, .12), (.5, .85)), 'rough': .6,
                  'scale': 2, 'amount': .12},
        'carglass': {'kind': 'pane', 'color': (.012, .015, .016), 'rough': .02},
        'trim': {'kind': 'plain', 'color': (.015, .015, .016), 'rough': .6},
        'tyre': {'kind': 'plain', 'color': (.01, .01, .01), 'rough': .9},
        'rim': {'kind': 'plain', 'color': (.45, .46, .47), 'rough': .35, 'metal': .7},
        'paint': {'kind': 'paint', 'rough': .25},
        'lamp': {'kind': 'plain', 'color': (.75, .76, .78), 'rough': .1, 'lit': 25.},
        'redlamp': {'kind': 'plain', 'color': (.4, .008, .006), 'rough': .15, 'lit': 5.,
                    'glow': float(rng.choice([0, 0, 2]))},
        'streetlamp': {'kind': 'plain', 'color': (.8, .7, .5), 'rough': .3,
                       'glow': 20. if night else 0.},
        'plate': {'kind': 'plain', 'color': (.75, .75, .7), 'rough': .5},
        'plate2': {'kind': 'plain', 'color': (.7, .5, .04), 'rough': .5},
        'cone': {'kind': 'plain', 'color': (.8, .12, .01), 'rough': .6},
        'sign_red': {'kind': 'plain', 'color': (.55, .01, .012), 'rough': .5},
        'sign_blue': {'kind': 'plain', 'color': (.01, .07, .4), 'rough': .5},
        'sign_green': {'kind': 'plain', 'color': (.005, .16, .07), 'rough': .5},
        'sign_yellow': {'kind': 'plain', 'color': (.8, .5, .01), 'rough': .5},
        'sign_white': {'kind': 'plain', 'color': (.8, .8, .8), 'rough': .5},
        'hair0': {'kind': 'plain', 'color': (.01, .008, .006), 'rough': .6},
        'hair1': {'kind': 'plain', 'color': (.07, .035, .015), 'rough': .6},
        'hair2': {'kind': 'plain', 'color': (.35, .22, .09), 'rough': .6},
        'skin0': {'kind': 'plain', 'color': (.6, .36, .26), 'rough': .6},
        'skin1': {'kind': 'plain', 'color': (.35, .18, .1), 'rough': .6},
        'skin2': {'kind': 'plain', 'color': (.1, .045, .025), 'rough': .6},
        'green_on': {'kind': 'plain', 'color': (.05, .6, .3), 'rough': .4, 'glow': 6.},
        'amber_on': {'kind': 'plain', 'color': (.9, .35, .02), 'rough': .4, 'glow': 6.},
        'red_on': {'kind': 'plain', 'color': (.9, .03, .02), 'rough': .4, 'glow': 6.},
    }
    for i in range(10):
        kind = str(rng.choice(['brick', 'noise', 'noise', 'slabs']))
        color = {'brick': hsv((.01, .08), (.4, .75), (.12, .4)),
                 'slabs': hsv((.07, .14), (.02, .3), (.18, .55)),
                 'noise': hsv((.02, .17), (.02, .45), (.3, .85)) if rng.random() < .8 else
                 hsv((0, 1), (.1, .45), (.25, .6))}[kind]
        look[f'wall{i}'] = {'kind': f'wall_{kind}', 'color': color, 'rough': .9,
                            'scale': rng.uniform(.8, 2), 'amount': rng.uniform(.1, .35)}
    for i in range(3):
        color = hsv((.01, .06), (.4, .7), (.1, .3)) if rng.random() < .5 else hsv(
            (.55, .65), (0, .2), (.05, .2))
        look[f'roof{i}'] = {'kind': 'slabs', 'color': color, 'rough': .9, 'scale': 3.,
                            'amount': .4}
    autumn = rng.random() < 0.15
    for i in range(4):
        look[f'leaf{i}'] = {'kind': 'leaf', 'rough': .8, 'color': hsv(
            (.06, .17) if autumn else (.19, .30), (.45, .85), (.035, .17))}
    for i in range(9):
        look[f'cloth{i}'] = {'kind': 'plain', 'rough': .95, 'color': hsv(
            (0, 1), (0, .8), (.01, .5)) if i % 2 else hsv((.5, .7), (0, .6), (.005, .12))}
    return look
