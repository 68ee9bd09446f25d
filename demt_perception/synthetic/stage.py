"""Blender's side: objects from meshes, the camera, light, and the two renders of a view."""

import importlib.util
import math
from pathlib import Path
import sys
import tempfile
from typing import Any

import numpy as np

from demt_perception.synthetic import labels
from demt_perception.synthetic.materials import Materials
from demt_perception.synthetic.meshes import Mesh

UNUSED = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -500.], [0, 0, 0, 1]])


def check_blender() -> None:
    """Look for Blender without loading it: a process that spawns renderers must not.

    Blender puts its own ``bpy`` folder on ``sys.path``, which spawned processes inherit.

    Raises:
        ImportError: bpy or OpenEXR is missing; says what to install.
    """
    for name in ('bpy', 'OpenEXR'):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            raise ImportError(
                f'no module named {name}: rendering needs Blender as a Python module: with '
                'Python 3.11, pip install bpy==4.5.15 OpenEXR')


class Stage:
    """One Blender scene, emptied first. There is one per process."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], samples: int,
                 threads: int = 0, wet: bool = False):
        check_blender()
        import bpy
        self.bpy = bpy
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene = bpy.context.scene
        self.size, self.samples = size, samples
        self.materials = Materials(bpy, rng, wet)
        self._numbers: dict[int, int] = {}
        self._meshes: dict[int, tuple] = {}
        camera = bpy.data.cameras.new('camera')
        camera.sensor_fit, camera.sensor_width = 'HORIZONTAL', 36.
        camera.clip_start, camera.clip_end = 0.05, 5000.
        self.camera = bpy.data.objects.new('camera', camera)
        self.scene.collection.objects.link(self.camera)
        self.scene.camera = self.camera
        self._settings(threads)

    def _settings(self, threads: int) -> None:
        scene, render = self.scene, self.scene.render
        render.engine = 'CYCLES'
        render.resolution_x, render.resolution_y = self.size
        render.resolution_percentage = 100
        render.use_persistent_data = True
        render.image_settings.file_format = 'OPEN_EXR_MULTILAYER'
        render.image_settings.color_depth = '32'
        render.image_settings.exr_codec = 'ZIP'
        if threads:
            render.threads_mode, render.threads = 'FIXED', threads
        layer = self.scene.view_layers[0]
        layer.use_pass_z = layer.use_pass_normal = layer.use_pass_object_index = True
        cycles = scene.cycles
        cycles.device = 'CPU'
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 2
        cycles.use_adaptive_sampling = False
        cycles.sample_clamp_indirect = 4.
        cycles.caustics_reflective = cycles.caustics_refractive = False
        cycles.denoiser = 'OPENIMAGEDENOISE'
        cycles.denoising_input_passes = 'RGB_ALBEDO_NORMAL'
        cycles.denoising_prefilter = 'FAST'

    def put(self, mesh: Mesh, class_id: int, matrix: np.ndarray | None = None,
            color: tuple = (1., 1., 1.)) -> Any:
        """Place a mesh as an object of a class; the same mesh may be placed many times."""
        key = id(mesh)
        if key not in self._meshes:
            self._meshes[key] = mesh, self._convert(mesh)
        thing = self.bpy.data.objects.new('thing', self._meshes[key][1])
        number = self._numbers.get(class_id, 0)
        self._numbers[class_id] = number + 1
        thing.pass_index = labels.instance_id(class_id, number % labels.PER_CLASS)
        thing.color = (*color, 1)
        self.move(thing, np.eye(4) if matrix is None else matrix)
        self.scene.collection.objects.link(thing)
        return thing

    def move(self, thing: Any, matrix: np.ndarray) -> None:
        """Give an object a 4x4 pose; `UNUSED` hides it below the ground."""
        from mathutils import Matrix
        thing.matrix_world = Matrix(np.asarray(matrix).tolist())

    def _convert(self, mesh: Mesh) -> Any:
        data = self.bpy.data.meshes.new('mesh')
        data.from_pydata(mesh.points, [], mesh.faces)
        names = sorted(set(mesh.materials))
        for name in names:
            data.materials.append(self.materials(name))
        slots = {name: i for i, name in enumerate(names)}
        data.polygons.foreach_set('material_index', [slots[m] for m in mesh.materials])
        if mesh.smooth or mesh.normals is not None:
            data.polygons.foreach_set('use_smooth', [True] * len(mesh.faces))
        if mesh.smooth:
            data.set_sharp_from_angle(angle=math.radians(38))
        data.update()
        if mesh.normals is not None:
            own = np.zeros((len(data.vertices), 3))
            data.vertices.foreach_get('normal', own.reshape(-1))
            given = np.zeros_like(own)
            given[:len(mesh.normals)] = mesh.normals
            set_ = np.linalg.norm(given, axis=1) > 0.5
            own[set_] = given[set_]
            data.normals_split_custom_set_from_vertices(own.tolist())
        return data

    def sky(self, rng: np.random.Generator) -> dict:
        """Light the scene by a clear Nishita sky or an overcast one; return what was drawn."""
        world = self.bpy.data.worlds.new('world')
        self.scene.world = world
        world.use_nodes = True
        tree = world.node_tree
        out = tree.nodes['Background']
        if rng.random() < 0.65:
            sky = tree.nodes.new('ShaderNodeTexSky')
            sky.sky_type = 'NISHITA'
            elevation = rng.uniform(5, 70)
            sky.sun_elevation, sky.sun_rotation = math.radians(elevation), rng.uniform(0, 6.283)
            sky.air_density, sky.dust_density = rng.uniform(.6, 2.0), rng.uniform(0, 2.5)
            sky.ozone_density = rng.uniform(.5, 3)
            sky.sun_size = math.radians(rng.uniform(.5, 3))
            color, kind = sky.outputs[0], f'sun at {elevation:.0f} deg'
            strength, clouds = 0.2, rng.choice([0., rng.uniform(.3, 1.)])
            white = np.full(3, 4.5 + 4 * math.sin(math.radians(elevation)))
        else:
            strength, clouds, kind = 1.0, rng.uniform(.2, 1), 'overcast'
            ramp = tree.nodes.new('ShaderNodeValToRGB')
            self._height(tree, ramp.inputs[0])
            base = rng.uniform(.6, 1.0)
            ramp.color_ramp.elements[0].color = (base * .9, base * .93, base, 1)
            top = base * rng.uniform(.6, 1.5)
            ramp.color_ramp.elements[1].color = (top * .93, top * .96, top, 1)
            color, white = ramp.outputs[0], np.full(3, base * 1.15)
        if clouds:
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
            ramp.inputs['To Max'].default_value = clouds
            mix = tree.nodes.new('ShaderNodeMix')
            mix.data_type = 'RGBA'
            mix.inputs[7].default_value = (*white.tolist(), 1)
            link = tree.links.new
            link(coordinates.outputs['Generated'], stretch.inputs[0])
            link(stretch.outputs[0], noise.inputs['Vector'])
            link(noise.outputs['Fac'], ramp.inputs['Value'])
            link(ramp.outputs[0], mix.inputs[0])
            link(color, mix.inputs[6])
            color = mix.outputs[2]
        tree.links.new(color, out.inputs['Color'])
        out.inputs['Strength'].default_value = strength
        world.cycles.sampling_method = 'MANUAL'
        world.cycles.sample_map_resolution = 512
        return {'sky': kind}

    def _height(self, tree: Any, socket: Any) -> None:
        coordinates = tree.nodes.new('ShaderNodeTexCoord')
        split = tree.nodes.new('ShaderNodeSeparateXYZ')
        tree.links.new(coordinates.outputs['Generated'], split.inputs[0])
        tree.links.new(split.outputs[2], socket)

    def aim(self, matrix: np.ndarray, focal: float) -> None:
        """Place the camera: x right, y up, z backward; focal length in pixels."""
        self.move(self.camera, matrix)
        self.camera.data.lens = focal / self.size[0] * 36.

    def view(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Render the camera's view twice: a picture, then one ray per pixel for labels.

        Returns:
            (H, W, 3) float32 linear RGB, and of the pixel centres: depth (H, W) metres along Z,
            +inf sky; normals (H, W, 3) optical frame; instance (H, W) ids; rays (H, W, 3).
        """
        picture = self._render(self.samples, True, 1.5)
        exact = self._render(1, False, 0.01)
        instance = np.rint(exact['IndexOB']).astype(np.int32)
        hit = instance > 0
        depth = np.where(hit, exact['Depth'], np.inf).astype(np.float32)
        focal = self.camera.data.lens / 36. * self.size[0]
        rays = labels.pixel_rays(self.size, (focal, focal))
        normals = labels.optical_normals(exact['Normal'], np.array(self.camera.matrix_world), rays,
                                         hit)
        return picture['Combined'], {'depth': depth, 'normals': normals, 'instance': instance,
                                     'rays': rays}

    def _render(self, samples: int, beauty: bool, filter_width: float) -> dict[str, np.ndarray]:
        import OpenEXR
        cycles = self.scene.cycles
        cycles.samples, cycles.use_denoising = samples, beauty
        cycles.pixel_filter_type, cycles.filter_width = 'BLACKMAN_HARRIS', filter_width
        cycles.max_bounces = 3 if beauty else 0
        with tempfile.TemporaryDirectory() as folder:
            self.scene.render.filepath = str(Path(folder, 'view.exr'))
            self.bpy.ops.render.render(write_still=True)
            with OpenEXR.File(str(Path(folder, 'view.exr')), separate_channels=True) as file:
                channels = {name: np.array(channel.pixels)
                            for name, channel in file.channels().items()}
        return _passes(channels)


def _passes(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gather `Layer.Pass.R`-like channels by pass."""
    passes = {}
    for wanted, parts in (('Combined', 'RGB'), ('Normal', 'XYZ'), ('Depth', None),
                          ('IndexOB', None)):
        found = {name.split('.')[-1]: pixels for name, pixels in channels.items()
                 if name.split('.')[-2:-1] == [wanted]}
        if not found or not set(parts or '') <= set(found):
            raise RuntimeError(f'the render has no pass {wanted}: it has {sorted(channels)}')
        passes[wanted] = np.stack([found[p] for p in parts], -1) if parts else next(
            iter(found.values()))
    return passes
