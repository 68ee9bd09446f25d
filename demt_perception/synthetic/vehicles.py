"""Cars and vans: lofted bodies with wheels, windows, lights and plates."""

import numpy as np

from demt_perception.synthetic.meshes import Mesh

# Side profiles: (x from the rear in shares of the length, belt height m, top height m, glass).
# The top equals the belt where there is no cabin.
HATCH = ((0, .75, .75), (.01, .88, .95), (.04, .93, 1.2), (.13, .95, 1.46), (.45, .93, 1.5),
         (.62, .93, 1.40), (.76, .93, .95), (.95, .8, .83), (.985, .73, .75), (1, .55, .55))
SALOON = ((0, .8, .8), (.01, .92, .93), (.14, .95, .97), (.28, .94, 1.36), (.42, .93, 1.43),
          (.55, .92, 1.38), (.71, .92, .94), (.95, .79, .81), (.985, .71, .73), (1, .52, .52))
ESTATE = ((0, .8, .8), (.01, .9, 1.0), (.05, .94, 1.42), (.3, .94, 1.49), (.45, .93, 1.49),
          (.58, .93, 1.40), (.72, .93, .95), (.95, .8, .82), (.985, .72, .74), (1, .54, .54))
SUV = ((0, .9, .9), (.01, 1.02, 1.1), (.06, 1.08, 1.6), (.3, 1.08, 1.72), (.5, 1.07, 1.70),
       (.61, 1.06, 1.6), (.74, 1.06, 1.1), (.95, .98, 1.0), (.988, .9, .92), (1, .65, .65))
VAN = ((0, .95, .95), (.005, 1.1, 1.9), (.02, 1.15, 2.0), (.4, 1.15, 2.03), (.7, 1.12, 2.0),
       (.78, 1.1, 1.9), (.92, 1.05, 1.12), (.985, .9, .92), (1, .6, .6))
TALLVAN = ((0, 1.0, 1.0), (.005, 1.2, 2.4), (.01, 1.3, 2.5), (.4, 1.3, 2.55), (.72, 1.3, 2.5),
           (.8, 1.25, 2.3), (.9, 1.2, 1.28), (.98, 1.0, 1.02), (1, .6, .6))
KINDS = {'hatch': (HATCH, 3.9, 1.72), 'saloon': (SALOON, 4.65, 1.8), 'estate': (ESTATE, 4.6, 1.8),
         'suv': (SUV, 4.5, 1.86), 'van': (VAN, 4.8, 1.9), 'tallvan': (TALLVAN, 5.6, 2.0)}
WEIGHTS = {'hatch': .28, 'saloon': .24, 'estate': .14, 'suv': .2, 'van': .07, 'tallvan': .07}


def car(rng: np.random.Generator, kind: str) -> Mesh:
    """Return a car, centre on the origin, front along +x, wheels on z = 0."""
    profile, length, width = KINDS[kind]
    length, half = length * rng.uniform(0.94, 1.06), width / 2 * rng.uniform(0.96, 1.03)
    tall = rng.uniform(0.96, 1.05)
    mesh = Mesh(smooth=True)
    clear = rng.uniform(0.17, 0.24)
    x = np.array([p[0] for p in profile]) * length - length / 2
    belt, top = np.array([p[1] for p in profile]) * tall, np.array([p[2] for p in profile]) * tall
    taper = np.interp(x, [-length / 2, -length * .44, length * .3, length * .45, length / 2],
                      [.9, 1, 1, .94, .84])
    rings = []
    for i in range(len(x)):
        w, b, h = half * taper[i], belt[i], top[i]
        roof = w * (0.74 if h > b + 0.2 else 0.9)
        side = [(w * .88, clear), (w * .99, clear + .14), (w, b * .62), (w * .96, b),
                (roof + (w - roof) * .12, h - min(.06, (h - b) / 2)), (roof * .9, h)]
        ring = [(x[i], y, z) for y, z in side] + [(x[i], -y, z) for y, z in side[::-1]]
        rings.append(ring)
    points = np.array(rings)
    n = points.shape[1]
    cabin = top > belt + 0.25
    solid_back = kind in ('van', 'tallvan')
    for i in range(len(x) - 1):
        for j in range(n - 1):
            quad = points[[i, i, i + 1, i + 1], [j, j + 1, j + 1, j]]
            material = 'trim' if j in (0, n - 2) else 'paint'
            both, slanted = cabin[i] and cabin[i + 1], cabin[i] != cabin[i + 1]
            behind = solid_back and x[i + 1] < length * 0.2
            if j in (3, n - 5) and (both or slanted) and not behind:
                material = 'carglass'
            if j == 5 and slanted and not (solid_back and x[i] < 0):
                material = 'carglass'  # windscreen, rear window
            if j in (4, n - 6) and slanted and not (solid_back and x[i] < 0):
                material = 'carglass'
            mesh.quads(quad[None], material)
    _weld(mesh)
    mesh.add(points[0], [tuple(range(n))], 'paint')
    mesh.add(points[-1], [tuple(range(n))[::-1]], 'paint')
    _details(mesh, rng, length, half, belt, clear, kind)
    return mesh


def _weld(mesh: Mesh) -> None:
    """Share equal points, so that smooth shading runs across faces."""
    points, index = np.unique(np.round(mesh.points, 5), axis=0, return_inverse=True)
    index = index.ravel()
    mesh.faces = [tuple(int(index[i]) for i in face) for face in mesh.faces]
    keep = [k for k, face in enumerate(mesh.faces) if len(set(face)) > 2]
    mesh.faces = [tuple(dict.fromkeys(mesh.faces[k])) for k in keep]
    mesh.materials = [mesh.materials[k] for k in keep]
    mesh._points, mesh._count = [points], len(points)


def _details(mesh, rng, length, half, belt, clear, kind):
    end, front = -length / 2, length / 2
    radius = 0.3 if kind in ('hatch', 'saloon', 'estate') else 0.35
    for at in (-0.29, 0.32):
        wheel(mesh, at * length, half, radius, 0.2)
    mid = float(np.max(belt)) * 0.72
    for sign in (1, -1):
        y = sign * half * 0.66
        mesh.box((end - .02, y - .15, mid - .02), (end + .1, y + .15, mid + .16), 'redlamp')
        mesh.box((front - .22, y - .2, mid - .11), (front + .005, y + .14, mid + .02), 'lamp')
        mesh.box((length * .16, sign * (half + .09) - .09, .95 * belt.max()),
                 (length * .19, sign * (half + .09) + .09, .95 * belt.max() + .13), 'paint')
        for at in (-.1, .12):  # door handles
            mesh.box((at * length, sign * half * .985 - .03, mid + .05),
                     (at * length + .16, sign * half * .985 + .03, mid + .08), 'trim')
    plate = str(rng.choice(['plate', 'plate2']))
    z = rng.uniform(.35, .7)
    mesh.box((end - .03, -.26, z), (end + .05, .26, z + .11), plate)
    mesh.box((front - .05, -.26, .38), (front + .025, .26, .49), plate)
    mesh.box((front - .2, -.4, .5), (front + .012, .4, mid), 'trim')
    mesh.box((front - .1, -half * .75, clear), (front + .008, half * .75, .36), 'trim')
    mesh.box((front, -.12, mid - .09), (front + .02, .12, mid - .04), 'rim')
    mesh.box((end - .015, -half * .8, clear), (end + .1, half * .8, .42), 'trim')


def wheel(mesh: Mesh, x: float, y: float, radius: float, width: float) -> None:
    """Append a pair of wheels with arches at x, their outer sides at +-y."""
    for sign in (1, -1):
        out = sign * (y + 0.012)
        mesh.tube((x, out - sign * width, radius), (x, out, radius), radius, radius, 'tyre', 18)
        mesh.tube((x, out, radius), (x, out + sign * .01, radius), radius * .64, radius * .6,
                  'rim', 12)
        mesh.tube((x, out + sign * .01, radius), (x, out + sign * .02, radius), radius * .2,
                  radius * .18, 'trim', 8)
        mesh.tube((x, sign * (y - .2), radius), (x, sign * (y + .004), radius), radius * 1.17,
                  radius * 1.17, 'tyre', 18)


def draw(rng: np.random.Generator) -> Mesh:
    """Draw a car of any kind."""
    return car(rng, str(rng.choice(list(WEIGHTS), p=list(WEIGHTS.values()))))
