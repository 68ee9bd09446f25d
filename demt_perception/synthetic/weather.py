"""The weather and the hour of one scene, and the light of its sky."""

import math
from typing import Any, NamedTuple

import numpy as np

HOURS = ('sun', 'overcast', 'dusk', 'night')
SHARES = (.50, .26, .11, .13)


class Weather(NamedTuple):
    """What one scene has.

    Attributes:
        hour: one of `HOURS`.
        wet: the road and the pavements are.
        lamps: street lamps and headlights burn.
    """

    hour: str
    wet: bool
    lamps: bool


DRY_SUN = Weather('sun', False, False)


def draw(rng: np.random.Generator) -> Weather:
    """Draw a weather."""
    hour = str(rng.choice(HOURS, p=SHARES))
    wet = bool(rng.random() < (.04 if hour == 'sun' else .3))
    return Weather(hour, wet, hour == 'night' or (hour == 'dusk' and rng.random() < .8))


def light(bpy: Any, scene: Any, rng: np.random.Generator, weather: Weather) -> dict:
    """Give a scene its sky; return what was drawn."""
    world = bpy.data.worlds.new('world')
    scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    out = tree.nodes['Background']
    sky = {'sun': _clear, 'dusk': _clear, 'overcast': _overcast, 'night': _dark}[weather.hour]
    color, strength, clouds, white, told = sky(tree, rng, weather.hour)
    if clouds:
        color = _clouds(tree, rng, color, white, clouds)
    tree.links.new(color, out.inputs['Color'])
    out.inputs['Strength'].default_value = strength
    world.cycles.sampling_method = 'MANUAL'
    world.cycles.sample_map_resolution = 512
    return {'sky': told, 'hour': weather.hour, 'wet': weather.wet, 'lamps': weather.lamps}


def _clear(tree, rng, hour):
    """Return a Nishita sky with its sun: colour, strength, clouds and theirs, and in words."""
    sky = tree.nodes.new('ShaderNodeTexSky')
    sky.sky_type = 'NISHITA'
    elevation = rng.uniform(6, 70) if hour == 'sun' else rng.uniform(-3, 4)
    sky.sun_elevation, sky.sun_rotation = math.radians(elevation), rng.uniform(0, 6.283)
    sky.air_density, sky.dust_density = rng.uniform(.6, 2.0), rng.uniform(0, 2.5)
    sky.ozone_density = rng.uniform(.5, 3)
    sky.sun_size = math.radians(rng.uniform(.5, 3))
    clouds = float(rng.choice([0., rng.uniform(.3, 1.)]))
    if hour == 'dusk':
        white = np.array([.5, .35, .4]) * rng.uniform(.3, 1.) * (.3 + max(elevation, 0) / 4)
    else:
        white = np.full(3, 4.5 + 4 * math.sin(math.radians(elevation)))
    return sky.outputs[0], 0.2, clouds, white, f'sun at {elevation:.0f} deg'


def _gradient(tree, low, high):
    """Return a colour that goes from the horizon's to the zenith's."""
    ramp = tree.nodes.new('ShaderNodeValToRGB')
    coordinates = tree.nodes.new('ShaderNodeTexCoord')
    split = tree.nodes.new('ShaderNodeSeparateXYZ')
    tree.links.new(coordinates.outputs['Generated'], split.inputs[0])
    tree.links.new(split.outputs[2], ramp.inputs[0])
    ramp.color_ramp.elements[0].color = (*low, 1)
    ramp.color_ramp.elements[1].color = (*high, 1)
    return ramp.outputs[0]


def _overcast(tree, rng, _):
    base = rng.uniform(.6, 1.0)
    top = base * rng.uniform(.6, 1.5)
    color = _gradient(tree, (base * .9, base * .93, base), (top * .93, top * .96, top))
    return color, 1.0, rng.uniform(.2, 1), np.full(3, base * 1.15), 'overcast'


def _dark(tree, rng, _):
    """Return a night sky above a town's glow; lamps give the light."""
    glow = rng.uniform(.004, .03) * np.array([1., rng.uniform(.7, .9), rng.uniform(.5, .9)])
    top = rng.uniform(.001, .008) * np.array([.6, .75, 1.])
    return _gradient(tree, glow, top), 1.0, rng.uniform(0, .6), glow * 1.3, 'night'


def _clouds(tree, rng, color, white, amount):
    coordinates = tree.nodes.new('ShaderNodeTexCoord')
    stretch = tree.nodes.new('ShaderNodeMapping')
    stretch.inputs['Scale'].default_value = (1, 1, rng.uniform(2.5, 5))
    stretch.inputs['Location'].default_value = rng.uniform(0, 50, 3).tolist()
    noise = tree.nodes.new('ShaderNodeTexNoise')
    noise.inputs['Scale'].default_value = rng.uniform(1.5, 4)
    noise.inputs['Detail'].default_value = 5
    ramp = tree.nodes.new('ShaderNodeMapRange')
    low = rng.uniform(.42, .6)
    ramp.inputs['From Min'].default_value = low
    ramp.inputs['From Max'].default_value = low + rng.uniform(.05, .25)
    ramp.inputs['To Max'].default_value = amount
    mix = tree.nodes.new('ShaderNodeMix')
    mix.data_type = 'RGBA'
    mix.inputs[7].default_value = (*(float(v) for v in white), 1)
    link = tree.links.new
    link(coordinates.outputs['Generated'], stretch.inputs[0])
    link(stretch.outputs[0], noise.inputs['Vector'])
    link(noise.outputs['Fac'], ramp.inputs['Value'])
    link(ramp.outputs[0], mix.inputs[0])
    link(color, mix.inputs[6])
    return mix.outputs[2]
