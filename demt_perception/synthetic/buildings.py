"""Buildings: facades with recessed windows, doors, shops, balconies and several roofs."""

import numpy as np

from demt_perception.synthetic.meshes import Mesh

WALLS = tuple(f'wall{i}' for i in range(10))
GLASS = ('glass0', 'glass0', 'glass1', 'glass2')


def facade(mesh: Mesh, rng: np.random.Generator, origin: np.ndarray, along: np.ndarray,
           width: float, style: dict, ground: bool) -> None:
    """Append one windowed wall.

    Args:
        mesh: to append to.
        rng: source of its details.
        origin: lower left corner seen from outside, metres.
        along: unit vector to the right seen from outside.
        width: metres.
        style: see `draw_style`.
        ground: the ground floor has doors and shop windows here.
    """
    up = np.array([0, 0, 1.])
    out = np.cross(along, up)
    patches: dict[str, list] = {}

    def patch(material, u0, u1, v0, v1, d=0., d1=None):
        d1 = d if d1 is None else d1
        patches.setdefault(material, []).append(
            [(u0, v0, d), (u1, v0, d), (u1, v1, d1), (u0, v1, d1)])

    def wall_side(material, u, v0, v1, d0, d1):
        patches.setdefault(material, []).append(
            [(u, v0, d0), (u, v0, d1), (u, v1, d1), (u, v1, d0)])

    columns = max(1, round(width / style['bay']))
    bay, recess = width / columns, style['recess']
    for floor in range(style['floors']):
        z0 = 0. if floor == 0 else style['ground'] + (floor - 1) * style['floor']
        height = style['ground'] if floor == 0 else style['floor']
        z1, wall = z0 + height, style['base'] if floor == 0 else style['wall']
        for column in range(columns):
            u0, u1 = column * bay, (column + 1) * bay
            kind = 'window'
            if floor == 0 and ground:
                kind = 'shop' if style['shop'] else ('door' if column == style['door'] % columns
                                                     else 'window')
            if rng.random() < 0.06 or bay < 1.2:
                patch(wall, u0, u1, z0, z1)
                continue
            if kind == 'shop':
                a, b, c, d = u0 + 0.2, u1 - 0.2, z0 + 0.3 * (rng.random() < 0.7), z1 - 0.9
            elif kind == 'door':
                a, b, c, d = (u0 + u1) / 2 - 0.55, (u0 + u1) / 2 + 0.55, z0, z0 + 2.2
            else:
                w, h = style['window'][0] * bay / 2, style['window'][1] * height
                a, b = (u0 + u1) / 2 - w, (u0 + u1) / 2 + w
                c = z0 + (height - h) * 0.55
                d = c + h
            patch(wall, u0, a, z0, z1)
            patch(wall, b, u1, z0, z1)
            patch(wall, a, b, z0, c)
            patch(wall, a, b, d, z1)
            trim = style['trim']
            wall_side(trim, a, c, d, 0, -recess)
            wall_side(trim, b, c, d, -recess, 0)
            patch(trim, a, b, c, c, 0, -recess)
            patch(trim, a, b, d, d, -recess, 0)
            glass = style['door_colour'] if kind == 'door' else str(rng.choice(GLASS))
            f = 0.06
            patch(glass, a + f, b - f, c + f, d - f, -recess)
            for box in ((a, a + f, c, d), (b - f, b, c, d), (a, b, c, c + f), (a, b, d - f, d)):
                patch('frame', *box, -recess + 0.02)
            if kind == 'window' and style['cross']:
                m = (a + b) / 2
                patch('frame', m - 0.03, m + 0.03, c, d, -recess + 0.02)
                patch('frame', a, b, c + (d - c) * 0.62, c + (d - c) * 0.62 + 0.05, -recess + 0.02)
            if kind == 'window' and style['sill']:
                _ledge(patch, style['trim'], a - 0.1, b + 0.1, c - 0.1, c, 0.12)
            if style['balcony'] and floor > 0 and column % 2 == style['door'] % 2:
                _ledge(patch, 'metal', a - 0.3, b + 0.3, z0 + 0.05, z0 + 0.15, 0.9)
                _ledge(patch, 'frame', a - 0.3, b + 0.3, z0 + 0.15, z0 + 1.0, 0.9, solid=False)
            if kind == 'shop':
                sign = str(rng.choice(['cloth0', 'cloth1', 'cloth2', 'cloth3', 'frame', 'cloth4']))
                _ledge(patch, sign, u0 + 0.1, u1 - 0.1, z1 - 0.85, z1 - 0.25, 0.12)
                if rng.random() < 0.25:
                    patch(sign, u0 + 0.1, u1 - 0.1, z1 - 0.85, z1 - 0.4, 1.2, 0.1)
    if style['cornice']:
        top = style['ground'] + (style['floors'] - 1) * style['floor']
        _ledge(patch, style['trim'], 0, width, top - 0.35, top, 0.25)
        _ledge(patch, style['trim'], 0, width, style['ground'] - 0.12, style['ground'], 0.1)
    for material, corners in patches.items():
        c = np.array(corners, float)
        mesh.quads(origin + c[..., :1] * along + c[..., 1:2] * up + c[..., 2:] * out, material)


def _ledge(patch, material, u0, u1, v0, v1, out, solid=True):
    patch(material, u0, u1, v0, v1, out)
    if solid:
        patch(material, u0, u1, v1, v1, out, 0)
        patch(material, u0, u1, v0, v0, 0, out)


def draw_style(rng: np.random.Generator, kind: str) -> dict:
    """Draw the look of one building: ``house``, ``town`` or ``block``."""
    wall = str(rng.choice(WALLS))
    floors = {'house': rng.integers(2, 4), 'town': rng.integers(3, 6),
              'block': rng.integers(4, 13)}[kind]
    tall = kind == 'block' and rng.random() < 0.5
    return {
        'floors': int(floors), 'floor': rng.uniform(2.6, 3.5), 'wall': wall,
        'ground': rng.uniform(3.2, 4.5) if kind != 'house' else rng.uniform(2.7, 3.2),
        'base': wall if rng.random() < 0.6 else str(rng.choice(WALLS)),
        'bay': rng.uniform(1.6, 3.8), 'recess': rng.uniform(0.08, 0.3),
        'window': (rng.uniform(0.85, 0.95), rng.uniform(0.7, 0.9)) if tall
        else (rng.uniform(0.35, 0.65), rng.uniform(0.45, 0.65)),
        'shop': kind != 'house' and rng.random() < 0.45, 'door': int(rng.integers(0, 9)),
        'door_colour': str(rng.choice(['cloth0', 'cloth1', 'cloth2', 'cloth5', 'wood'])),
        'trim': str(rng.choice(['frame', wall, 'wall0', 'wall1'])), 'cross': rng.random() < 0.5,
        'sill': rng.random() < 0.5, 'balcony': kind != 'house' and rng.random() < 0.2,
        'cornice': rng.random() < 0.5, 'roof': 'pitched' if kind == 'house' or (
            kind == 'town' and rng.random() < 0.4) else 'flat'}


def building(rng: np.random.Generator, kind: str, width: float, depth: float) -> Mesh:
    """Return a building: front along +x on y = 0 facing -y, from z = -3 m."""
    mesh, style = Mesh(), draw_style(rng, kind)
    x, y = np.array([1., 0, 0]), np.array([0, 1., 0])
    facade(mesh, rng, np.zeros(3), x, width, style, True)
    facade(mesh, rng, width * x, y, depth, style, False)
    facade(mesh, rng, depth * y, -y, depth, style, False)
    top = style['ground'] + (style['floors'] - 1) * style['floor']
    mesh.quads([[(width, depth, 0), (0, depth, 0), (0, depth, top), (width, depth, top)]],
               style['wall'])
    mesh.box((0, 0, -3), (width, depth, 0), style['base'])
    roof = str(rng.choice(['roof0', 'roof1', 'roof2']))
    if style['roof'] == 'flat':
        mesh.box((-0.02, -0.02, top), (width + 0.02, depth + 0.02, top + rng.uniform(0.3, 1.0)),
                 style['trim'])
        for _ in range(int(rng.integers(0, 3))):
            a, b = rng.uniform(0.1, 0.7) * width, rng.uniform(0.2, 0.7) * depth
            mesh.box((a, b, top), (a + rng.uniform(1, 3), b + 2, top + rng.uniform(1, 3)), 'metal')
        return mesh
    rise, over = min(depth, width) * rng.uniform(0.25, 0.5), 0.4
    if rng.random() < 0.35:  # gable to the street
        mid, e = width / 2, over
        ridge = [(mid, -e, top + rise), (mid, depth + e, top + rise)]
        mesh.quads([[(-e, depth + e, top - .1), (-e, -e, top - .1), ridge[0], ridge[1]],
                    [(width + e, -e, top - .1), (width + e, depth + e, top - .1), ridge[1],
                     ridge[0]]], roof)
        mesh.add([(0, 0, top), (width, 0, top), (mid, 0, top + rise)], [(0, 1, 2)], style['wall'])
    else:
        mid, e = depth / 2, over
        ridge = [(-0.1, mid, top + rise), (width + 0.1, mid, top + rise)]
        mesh.quads([[(-0.1, -e, top - .2), (width + .1, -e, top - .2), ridge[1], ridge[0]],
                    [(width + .1, depth + e, top - .2), (-.1, depth + e, top - .2), ridge[0],
                     ridge[1]]], roof)
        for u in (0, width):
            mesh.add([(u, 0, top), (u, depth, top), (u, mid, top + rise)], [(0, 1, 2)],
                     style['wall'])
        if rng.random() < 0.6:
            a = rng.uniform(0.1, 0.8) * width
            mesh.box((a, mid - 0.4, top), (a + 0.9, mid + 0.4, top + rise + 0.9), style['wall'])
    return mesh
