"""Surfaces by name: what each looks like in one scene, made of Blender's texture nodes."""

import colorsys
from typing import Any

import numpy as np

PAINTS = ((.8, .8, .8), (.6, .62, .63), (.02, .02, .022), (.05, .05, .055), (.25, .26, .27),
          (.45, .02, .02), (.02, .06, .3), (.01, .03, .12), (.3, .28, .22), (.05, .12, .06),
          (.75, .7, .6), (.6, .35, .03), (.15, .3, .45), (.25, .08, .03))


class Materials:
    """Makes each material of a scene when it is first asked for."""

    def __init__(self, bpy: Any, rng: np.random.Generator, wet: bool):
        self._bpy = bpy
        self._made: dict[str, Any] = {}
        self._looks = looks(rng, wet)

    def __call__(self, name: str) -> Any:
        """Return the Blender material of a name.

        Raises:
            KeyError: no such name in `looks`.
        """
        if name not in self._made:
            self._made[name] = _build(self._bpy, name, self._looks[name])
        return self._made[name]


def looks(rng: np.random.Generator, wet: bool) -> dict[str, dict]:
    """Draw colour (linear RGB), roughness and texture of every material of a scene."""
    def hsv(h, s, v):
        return colorsys.hsv_to_rgb(rng.uniform(*h) % 1, rng.uniform(*s), rng.uniform(*v))

    grey = rng.uniform(0.045, 0.17)
    tint = np.array([1, rng.uniform(0.96, 1.0), rng.uniform(0.9, 1.03)])
    look = {
        'asphalt': {'kind': 'asphalt', 'color': grey * tint, 'rough': 0.25 if wet else
                    rng.uniform(0.7, 0.95), 'wet': wet,
                    'patched': rng.random() < .4, 'cracked': rng.random() < .35},
        'white': {'kind': 'worn', 'color': np.full(3, rng.uniform(.45, .8)), 'under': grey * tint,
                  'rough': 0.7, 'wear': rng.uniform(0.3, 0.5)},
        'yellow': {'kind': 'worn', 'color': (.6, .35, .03), 'under': grey * tint, 'rough': 0.7,
                   'wear': rng.uniform(0.3, 0.5)},
        'pavement': {'kind': str(rng.choice(['slabs', 'slabs', 'noise', 'asphalt'])),
                     'color': rng.uniform(.12, .36) * np.array([1, rng.uniform(.9, 1), rng.uniform(
                         .78, 1)]), 'rough': .85, 'scale': rng.uniform(.6, 2.5), 'amount': .3},
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
        'glass2': {'kind': 'pane', 'color': hsv((.08, .15), (.05, .3), (.25, .6)), 'rough': .15},
        'frame': {'kind': 'noise', 'color': hsv((0, 1), (0, .12), (.5, .85)), 'rough': .6,
                  'scale': 2, 'amount': .12},
        'carglass': {'kind': 'pane', 'color': (.012, .015, .016), 'rough': .02},
        'trim': {'kind': 'plain', 'color': (.015, .015, .016), 'rough': .6},
        'tyre': {'kind': 'plain', 'color': (.01, .01, .01), 'rough': .9},
        'rim': {'kind': 'plain', 'color': (.45, .46, .47), 'rough': .35, 'metal': .7},
        'paint': {'kind': 'paint', 'rough': .25},
        'lamp': {'kind': 'plain', 'color': (.75, .76, .78), 'rough': .1},
        'redlamp': {'kind': 'plain', 'color': (.4, .008, .006), 'rough': .15,
                    'glow': float(rng.choice([0, 0, 2]))},
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


def _build(bpy: Any, name: str, look: dict) -> Any:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes['Principled BSDF']
    kind = look['kind']
    shader.inputs['Roughness'].default_value = float(look['rough'])
    shader.inputs['Metallic'].default_value = float(look.get('metal', 0))
    base = shader.inputs['Base Color']
    if 'color' in look:
        base.default_value = (*(float(v) for v in look['color']), 1)
    if look.get('glow'):
        shader.inputs['Emission Color'].default_value = base.default_value
        shader.inputs['Emission Strength'].default_value = look['glow']
    if kind == 'pane':
        shader.inputs['Specular IOR Level'].default_value = 0.45
    elif kind == 'paint':
        info = tree.nodes.new('ShaderNodeObjectInfo')
        tree.links.new(info.outputs['Color'], base)
        shader.inputs['Coat Weight'].default_value = 0.6
        shader.inputs['Coat Roughness'].default_value = 0.05
    elif kind != 'plain':
        _texture(tree, look, base, kind, shader)
    return material


def _texture(tree, look, base, kind, shader):
    """Vary the base colour: blotches, grain, slabs or bricks, dirt towards the ground."""
    def node(kind, **values):
        n = tree.nodes.new(kind)
        for key, value in values.items():
            n.inputs[key].default_value = value
        return n

    def link(a, b):
        tree.links.new(a, b)

    def scaled(color, factor):
        return (*(float(np.clip(c * factor, 0, 1)) for c in color), 1)

    place = tree.nodes.new('ShaderNodeTexCoord').outputs['Object']
    color, amount = np.asarray(look['color'], float), float(look.get('amount', 0.3))

    def noise(scale, detail=3.):
        n = node('ShaderNodeTexNoise', Scale=scale, Detail=detail, Roughness=0.6)
        link(place, n.inputs['Vector'])
        return n.outputs['Fac']

    def cells(scale, feature, output):
        bend = node('ShaderNodeTexNoise', Scale=1.2, Detail=4.)
        link(place, bend.inputs['Vector'])
        shift = node('ShaderNodeVectorMath')
        shift.operation = 'MULTIPLY_ADD'
        shift.inputs[1].default_value = (1.2, 1.2, 0)
        link(bend.outputs['Color'], shift.inputs[0])
        link(place, shift.inputs[2])
        n = node('ShaderNodeTexVoronoi', Scale=scale)
        n.feature = feature
        link(shift.outputs[0], n.inputs['Vector'])
        return n.outputs[output]

    def mix(fac, a, b, low=0.35, high=0.65):
        ramp = node('ShaderNodeMapRange')
        ramp.inputs['From Min'].default_value, ramp.inputs['From Max'].default_value = low, high
        link(fac, ramp.inputs['Value'])
        m = tree.nodes.new('ShaderNodeMix')
        m.data_type = 'RGBA'
        link(ramp.outputs['Result'], m.inputs[0])
        for value, socket in ((a, m.inputs[6]), (b, m.inputs[7])):
            if isinstance(value, tuple):
                socket.default_value = value
            else:
                link(value, socket)
        return m.outputs[2]

    def blocks(width, height, mortar):
        split = node('ShaderNodeSeparateXYZ')
        link(place, split.inputs[0])
        join, add = node('ShaderNodeCombineXYZ'), node('ShaderNodeMath')
        upright = kind.startswith('wall_')
        if upright:  # both walls of a corner: x + y runs along either
            link(split.outputs[0], add.inputs[0])
            link(split.outputs[1], add.inputs[1])
            link(add.outputs[0], join.inputs[0])
            link(split.outputs[2], join.inputs[1])
        else:
            link(split.outputs[0], join.inputs[0])
            link(split.outputs[1], join.inputs[1])
        brick = node('ShaderNodeTexBrick')
        brick.inputs['Color1'].default_value = scaled(color, 1.15)
        brick.inputs['Color2'].default_value = scaled(color, 0.75)
        brick.inputs['Mortar'].default_value = scaled(mortar, 1)
        brick.inputs['Scale'].default_value = 1.
        brick.inputs['Mortar Size'].default_value = height * 0.07
        brick.inputs['Brick Width'].default_value = width
        brick.inputs['Row Height'].default_value = height
        link(join.outputs[0], brick.inputs['Vector'])
        return brick.outputs['Color']

    if kind == 'asphalt':
        value = mix(noise(60., 2.), scaled(color, .7), scaled(color, 1.35), .3, .7)
        value = mix(noise(0.25), value, scaled(color, .72), .5, .75)
        value = mix(noise(1.3, 6.), value, scaled(color, 1.3), .56, .8)
        if look.get('patched'):
            value = mix(cells(.13, 'F1', 'Color'), value, scaled(color, .62), .74, .76)
            value = mix(cells(.09, 'F1', 'Color'), value, scaled(color, 1.25), .8, .82)
        if look.get('cracked'):
            value = mix(cells(.35, 'DISTANCE_TO_EDGE', 'Distance'), scaled(color, .4), value,
                        .004, .012)
        if look.get('wet'):
            wet = mix(noise(0.4), (.12, .12, .12, 1), (.8, .8, .8, 1), .4, .6)
            link(wet, shader.inputs['Roughness'])
    elif kind == 'worn':
        value = mix(noise(5., 8.), scaled(look['under'], 1.1), scaled(color, 1),
                    look['wear'] - .05, look['wear'] + .06)
    elif kind == 'grass':
        value = mix(noise(25., 4.), scaled(color, .5), scaled(color, 1.4), .3, .7)
        value = mix(noise(0.4), value, scaled(look['dry'], 1), .52, .75)
    elif kind == 'leaf':
        value = mix(noise(2.2, 2.), scaled(color, .45), scaled(color, 1.7), .3, .7)
    elif kind in ('slabs', 'wall_slabs', 'wall_brick'):
        small = kind == 'wall_brick'
        size = (.24, .085) if small else (look['scale'] * .5, look['scale'] * .35)
        mortar = np.full(3, .35) if small and color[0] < .25 else color * .5
        value = blocks(size[0], size[1], mortar)
        value = mix(noise(.7), value, scaled(color, .7), .5, .85)
    else:
        value = mix(noise(look['scale'] * 1.0, 6.), scaled(color, 1 - amount),
                    scaled(color, 1 + amount / 2), .3, .7)
    if kind.startswith('wall_'):
        split = node('ShaderNodeSeparateXYZ')
        link(place, split.inputs[0])
        value = mix(split.outputs[2], scaled(color, .5), value, -.6, 1.2)
        streak = node('ShaderNodeTexNoise', Scale=1., Detail=3.)
        stretch = node('ShaderNodeVectorMath')
        stretch.operation = 'MULTIPLY'
        stretch.inputs[1].default_value = (1.5, 1.5, .12)
        link(place, stretch.inputs[0])
        link(stretch.outputs[0], streak.inputs['Vector'])
        value = mix(streak.outputs['Fac'], value, scaled(color, .6), .55, .8)
    link(value, base)
