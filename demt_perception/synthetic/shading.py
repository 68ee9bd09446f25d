"""Blender's shader nodes of one material from its drawn look."""

from typing import Any

import numpy as np


def build(bpy: Any, name: str, look: dict) -> Any:
    """Return a Blender material of a look, see `materials.looks`."""
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
    # What glows is seen, but the lamps light the street: few lights, little noise.
    material.cycles.emission_sampling = 'NONE'
    if look.get('glow'):
        shader.inputs['Emission Color'].default_value = base.default_value
        shader.inputs['Emission Strength'].default_value = look['glow']
    if look.get('lit'):  # burns on objects placed as lit, see `Stage.put`
        info, times = tree.nodes.new('ShaderNodeObjectInfo'), tree.nodes.new('ShaderNodeMath')
        times.operation = 'MULTIPLY_ADD'
        times.inputs[1].default_value = look['lit']
        times.inputs[2].default_value = look.get('glow', 0.)
        shader.inputs['Emission Color'].default_value = base.default_value
        tree.links.new(info.outputs['Alpha'], times.inputs[0])
        tree.links.new(times.outputs[0], shader.inputs['Emission Strength'])
    if kind == 'pane':
        shader.inputs['Specular IOR Level'].default_value = 0.45
    elif kind == 'paint':
        info = tree.nodes.new('ShaderNodeObjectInfo')
        tree.links.new(info.outputs['Color'], base)
        shader.inputs['Coat Weight'].default_value = 0.6
        shader.inputs['Coat Roughness'].default_value = 0.05
    elif kind != 'plain':
        _texture(tree, look, base, kind, shader)
    if kind == 'leaf':  # light shines through leaves
        through, both = (tree.nodes.new(f'ShaderNode{n}') for n in ('BsdfTranslucent',
                                                                    'MixShader'))
        tree.links.new(base.links[0].from_socket, through.inputs['Color'])
        both.inputs[0].default_value = .4
        tree.links.new(shader.outputs[0], both.inputs[1])
        tree.links.new(through.outputs[0], both.inputs[2])
        tree.links.new(both.outputs[0], tree.nodes['Material Output'].inputs['Surface'])
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

    def math(operation, one, two):
        n = node('ShaderNodeMath')
        n.operation = operation
        for value, socket in zip((one, two), n.inputs, strict=False):
            if isinstance(value, float):
                socket.default_value = value
            else:
                link(value, socket)
        return n.outputs[0]

    def worn(value):
        """Mark wheel tracks, oil along the lanes' middles, the joints of concrete slabs."""
        lanes = tree.nodes.new('ShaderNodeAttribute')
        lanes.attribute_name = 'lanes'
        split = node('ShaderNodeSeparateXYZ')
        link(lanes.outputs['Vector'], split.inputs[0])
        beside = math('PINGPONG', split.outputs[1], .5)  # 0 at a lane's border, .5 in its middle
        uneven = math('MULTIPLY', noise(.35, 5.), .16)
        track = math('ADD', math('ABSOLUTE', math('SUBTRACT', beside, .26), 0.), uneven)
        change = 1 - look['tracks'] * (.6 if look['slab'] else 1.)
        value = mix(track, scaled(color, change), value, .1, .2)
        oil = math('SUBTRACT', beside, uneven)
        value = mix(oil, value, scaled(color, 1 - look['dirt']), .36, .52)
        if look['slab']:
            along = math('PINGPONG', split.outputs[0], look['slab'] / 2)
            value = mix(along, scaled(color, .45), value, .01, .03)
            value = mix(beside, scaled(color, .5), value, .002, .008)
        return value

    if kind in ('asphalt', 'road'):
        value = mix(noise(60., 2.), scaled(color, .7), scaled(color, 1.35), .3, .7)
        value = mix(noise(0.25), value, scaled(color, .72), .5, .75)
        value = mix(noise(1.3, 6.), value, scaled(color, 1.3), .56, .8)
        if look.get('patched'):
            value = mix(cells(.13, 'F1', 'Color'), value, scaled(color, .62), .74, .76)
            value = mix(cells(.09, 'F1', 'Color'), value, scaled(color, 1.25), .8, .82)
        if look.get('cracked'):
            value = mix(cells(.35, 'DISTANCE_TO_EDGE', 'Distance'), scaled(color, .4), value,
                        .004, .012)
        if kind == 'road':
            value = worn(value)
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
