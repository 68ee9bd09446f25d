"""Build polygon meshes from simple solids with numpy; knows nothing of Blender."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


class Mesh:
    """Points in metres, polygons and the name of each polygon's material.

    Attributes:
        faces: tuples of point indices, counter-clockwise seen from outside.
        materials: one material name per face.
        smooth: faces meeting below about 40 degrees are shaded as one curved surface.
        normals: (N, 3) shading normals of the points, or None for those of the faces.
        kind: of the classes of Cityscapes, where it is not the usual one of the CamVid class.
        lanes: (M, 2) of the first M points of a road: metres along it, lanes across it.
    """

    def __init__(self, smooth: bool = False, kind: str = ''):
        self._points: list[np.ndarray] = []
        self._count = 0
        self.faces: list[tuple[int, ...]] = []
        self.materials: list[str] = []
        self.smooth, self.kind = smooth, kind
        self.normals: np.ndarray | None = None
        self.lanes: np.ndarray | None = None

    @property
    def points(self) -> np.ndarray:
        """All points, (N, 3) float64 metres."""
        return np.concatenate(self._points) if self._points else np.zeros((0, 3))

    def add(self, points: ArrayLike, faces: Sequence[Sequence[int]] | np.ndarray,
            material: str) -> None:
        """Append points (N, 3) and the faces over them."""
        places = np.asarray(points, float).reshape(-1, 3)
        start = self._count
        self.faces.extend(tuple(int(i) + start for i in face) for face in faces)
        self.materials.extend([material] * len(faces))
        self._points.append(places)
        self._count += len(places)

    def quads(self, corners: ArrayLike, material: str) -> None:
        """Append separate quadrilaterals, corners (N, 4, 3)."""
        places = np.asarray(corners, float).reshape(-1, 4, 3)
        self.add(places, np.arange(4 * len(places)).reshape(-1, 4), material)

    def grid(self, points: np.ndarray, material: str) -> None:
        """Append a sheet, points (rows, columns, 3)."""
        rows, columns = points.shape[:2]
        index = np.arange(rows * columns).reshape(rows, columns)
        faces = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1)
        self.add(points, faces.reshape(-1, 4), material)

    def box(self, low: ArrayLike, high: ArrayLike, material: str,
            turn: np.ndarray | None = None) -> None:
        """Append an axis-aligned box, turned by a 4x4 matrix if one is given."""
        (x0, y0, z0), (x1, y1, z1) = np.asarray(low, float), np.asarray(high, float)
        points = np.array([(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0),
                           (x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)])
        if turn is not None:
            points = points @ turn[:3, :3].T + turn[:3, 3]
        self.add(points, BOX_FACES, material)

    def tube(self, start: ArrayLike, end: ArrayLike, radius0: float, radius1: float,
             material: str, sides: int = 8) -> None:
        """Append a closed cone frustum between two points."""
        one, two = np.asarray(start, float), np.asarray(end, float)
        u, v = across(two - one)
        angle = np.arange(sides) * 2 * np.pi / sides
        ring = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v
        points = np.concatenate([one + radius0 * ring, two + radius1 * ring])
        faces: list[tuple[int, ...]] = [
            (i, (i + 1) % sides, sides + (i + 1) % sides, sides + i)
            for i in range(sides)]
        faces += [tuple(range(sides))[::-1], tuple(range(sides, 2 * sides))]
        self.add(points, faces, material)

    def ball(self, center: ArrayLike, radii: ArrayLike, material: str,
             rings: int = 6, sides: int = 8) -> None:
        """Append an ellipsoid."""
        theta = np.linspace(0, np.pi, rings + 1)[1:-1]
        phi = np.arange(sides) * 2 * np.pi / sides
        body = np.stack([np.outer(np.sin(theta), np.cos(phi)),
                         np.outer(np.sin(theta), np.sin(phi)),
                         np.outer(np.cos(theta), np.ones(sides))], -1).reshape(-1, 3)
        points = np.concatenate([body, [[0, 0, 1], [0, 0, -1]]])
        points = points * np.asarray(radii) + np.asarray(center)
        top, bottom = len(body), len(body) + 1
        faces: list[tuple[int, ...]] = []
        for j in range(sides):
            k = (j + 1) % sides
            faces.append((top, j, k))
            last = (rings - 2) * sides
            faces.append((bottom, last + k, last + j))
            for i in range(rings - 2):
                a, b = i * sides, (i + 1) * sides
                faces.append((a + j, b + j, b + k, a + k))
        self.add(points, faces, material)

    def merge(self, other: 'Mesh', turn: np.ndarray | None = None) -> None:
        """Append another mesh, moved by a 4x4 matrix if one is given."""
        points = other.points
        if turn is not None:
            points = points @ turn[:3, :3].T + turn[:3, 3]
        start = self._count
        self._points.append(points)
        self._count += len(points)
        self.faces.extend(tuple(i + start for i in face) for face in other.faces)
        self.materials.extend(other.materials)


def across(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors that with `direction` form a right-handed frame."""
    direction = direction / max(np.linalg.norm(direction), 1e-9)
    helper = np.array([0, 0, 1.]) if abs(direction[2]) < 0.9 else np.array([1., 0, 0])
    u = np.cross(helper, direction)
    u /= np.linalg.norm(u)
    return u, np.cross(direction, u)


def pose(x: float, y: float, z: float, yaw: float = 0.) -> np.ndarray:
    """Return the 4x4 matrix of a place and a turn about the vertical, metres and radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z], [0, 0, 0, 1.]])


BOX_FACES = ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
