"""Trees of several kinds, hedges and bushes: wood as tubes, foliage as many small leaves."""

import numpy as np

from demt_perception.synthetic.meshes import across, Mesh

KINDS = ('round', 'tall', 'conifer', 'sparse', 'bare')


def tree(rng: np.random.Generator, kind: str) -> Mesh:
    """Return a tree standing on the origin, 5 to 14 m high."""
    mesh = Mesh()
    height = rng.uniform(6, 13) * (1.3 if kind in ('tall', 'conifer') else 1.)
    stem = rng.uniform(2.4, 3.6) if kind != 'conifer' else 0.8
    radius = rng.uniform(0.1, 0.24)
    tips = _wood(mesh, rng, height, stem, radius, 4 if kind == 'bare' else 2)
    if kind == 'bare':
        return mesh
    if kind == 'conifer':
        z = rng.uniform(0, 1, 34) ** 1.4
        reach = (1 - z) * height * 0.22 + 0.1
        angle = rng.uniform(0, 2 * np.pi, len(z))
        centres = np.stack([reach * np.cos(angle) * 0.6, reach * np.sin(angle) * 0.6,
                            stem + z * (height - stem)], -1)
        radii = np.stack([reach * 0.7 + 0.2, reach * 0.7 + 0.2, reach * 0.3 + 0.25], -1)
    else:
        wide = {'round': 0.34, 'tall': 0.16, 'sparse': 0.3}[kind] * height
        n = {'round': 42, 'tall': 30, 'sparse': 22}[kind]
        d = rng.normal(size=(n, 3))
        d *= (rng.uniform(0.2, 1, (n, 1)) ** 0.5) / np.linalg.norm(d, axis=1, keepdims=True)
        mid = (stem + height) / 2
        centres = d * (wide * 0.75, wide * 0.75, (height - stem) * 0.42) + (0, 0, mid + 0.3)
        centres = np.concatenate([centres, tips[rng.integers(0, len(tips), n // 2)]])
        radii = rng.uniform(0.14, 0.36, (len(centres), 1)) * wide * np.array([[1, 1, 0.8]])
    amount = {'round': 21000, 'tall': 15000, 'conifer': 15000, 'sparse': 8000}[kind]
    _leaves(mesh, rng, centres, radii, amount, rng.uniform(0.055, 0.11),
            np.array([0, 0, (stem + height) / 2]), f'leaf{rng.integers(0, 4)}',
            0.3 if kind == 'conifer' else 2.2)
    return mesh


def bush(rng: np.random.Generator) -> Mesh:
    """Return a bush standing on the origin, 0.6 to 2 m high."""
    mesh, size = Mesh(), rng.uniform(0.6, 1.6)
    n = 9
    centres = rng.normal(0, 0.4, (n, 3)) * size + (0, 0, size * 0.5)
    centres[:, 2] = np.clip(centres[:, 2], 0.1 * size, None)
    _leaves(mesh, rng, centres, np.full((n, 3), size * 0.4), 3500, 0.06,
            np.zeros(3), f'leaf{rng.integers(0, 4)}', 0.05)
    return mesh


def hedge(rng: np.random.Generator, length: float, height: float, thick: float = 0.7) -> Mesh:
    """Return a cut hedge along x from the origin."""
    mesh = Mesh()
    mesh.box((0, -thick / 2 + 0.1, 0), (length, thick / 2 - 0.1, height - 0.1), 'leaf1')
    n = int(min(14000, 500 * length * height))
    centres = rng.uniform(0, 1, (n, 3)) * (length, thick, height) - (0, thick / 2, 0)
    face = rng.integers(0, 3, n)
    centres[face == 0, 2] = height
    centres[face == 1, 1] = -thick / 2
    centres[face == 2, 1] = thick / 2
    outward = np.zeros((n, 3))
    outward[face == 0, 2], outward[face == 1, 1], outward[face == 2, 1] = 1, -1, 1
    centres += rng.normal(0, 0.04, (n, 3))
    _quads(mesh, rng, centres, outward, 0.055, f'leaf{rng.integers(0, 4)}')
    return mesh


def _wood(mesh, rng, height, stem, radius, depth):
    lean = rng.normal(0, 0.03, 2)
    top = np.array([lean[0] * stem, lean[1] * stem, stem])
    mesh.tube((0, 0, -0.3), top, radius * 1.2, radius * 0.9, 'bark', 8)
    tips: list[np.ndarray] = []

    def grow(start, direction, length, r, level):
        end = start + direction * length
        mesh.tube(start, end, r, r * 0.6, 'bark', 5)
        tips.append(end)
        if level == 0:
            return
        u, v = across(direction)
        for _ in range(int(rng.integers(3, 5))):
            angle = rng.uniform(0, 2 * np.pi)
            spread = rng.uniform(0.35, 0.8)
            d = direction + spread * (np.cos(angle) * u + np.sin(angle) * v) + (0, 0, 0.15)
            at = start + direction * length * rng.uniform(0.6, 1.0)
            grow(at, d / np.linalg.norm(d), length * rng.uniform(0.5, 0.8), r * 0.55, level - 1)

    grow(top, np.array([0, 0, 1.]), (height - stem) * (0.45 if depth > 2 else 0.55), radius * 0.9,
         depth)
    return np.array(tips)


def _leaves(mesh, rng, centres, radii, amount, size, heart, material, lowest):
    share = rng.integers(0, len(centres), amount)
    d = rng.normal(size=(amount, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    places = centres[share] + d * radii[share] * rng.uniform(0.55, 1.05, (amount, 1))
    far = places - heart
    far /= np.maximum(np.linalg.norm(far, axis=1, keepdims=True), 1e-6)
    outward = 0.65 * d + 0.5 * far
    keep = places[:, 2] > lowest  # people and cars pass below a street's trees
    _quads(mesh, rng, places[keep], outward[keep], size, material)


def _quads(mesh, rng, centres, outward, size, material):
    """Append one small leaf quadrilateral per centre, shaded by the outward direction."""
    n = len(centres)
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    facing = outward + rng.normal(0, 0.55, (n, 3))
    facing /= np.linalg.norm(facing, axis=1, keepdims=True)
    u = np.cross(facing, rng.normal(size=(n, 3)))
    u /= np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-6)
    v = np.cross(facing, u)
    h = size * rng.uniform(0.6, 1.3, (n, 1))
    u, v = u * h, v * h * 0.8
    before = len(mesh.points)
    mesh.quads(np.stack([centres - u, centres - v, centres + u, centres + v], 1), material)
    normals = np.zeros((before + 4 * n, 3))
    if mesh.normals is not None:
        normals[:len(mesh.normals)] = mesh.normals
    normals[before:] = np.repeat(outward, 4, 0)
    mesh.normals = normals
