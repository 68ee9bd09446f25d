"""A scene as triangles, for checks by programs that are not Blender."""

import numpy as np

from demt_perception.synthetic.stage import Stage


def triangles(stage: Stage) -> tuple[np.ndarray, np.ndarray]:
    """Return what stands on a stage as triangles, for checks by other programs.

    Returns:
        (N, 3, 3) float64 corners in metres, world frame, and (N,) instance ids.
    """
    corners, ids = [np.zeros((0, 3, 3))], [np.zeros(0, np.int32)]
    graph = stage.bpy.context.evaluated_depsgraph_get()
    for thing in stage.scene.objects:
        if thing.type != 'MESH':
            continue
        data = thing.evaluated_get(graph).to_mesh()
        data.calc_loop_triangles()
        points = np.empty(3 * len(data.vertices), np.float32)
        data.vertices.foreach_get('co', points)
        faces = np.empty(3 * len(data.loop_triangles), np.int32)
        data.loop_triangles.foreach_get('vertices', faces)
        matrix = np.array(thing.matrix_world)
        world = points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
        corners.append(world[faces.reshape(-1, 3)])
        ids.append(np.full(len(faces) // 3, stage.instances[thing.pass_index], np.int32))
    return np.concatenate(corners), np.concatenate(ids)
