"""Blender's side: objects from meshes, the camera, light, and the two renders of a view."""

import importlib.util
import math
from pathlib import Path
import sys
import tempfile
from typing import Any

import numpy as np

from demt_perception.synthetic import labels, weather
from demt_perception.synthetic.cityscapes import city_id
from demt_perception.synthetic.materials import Materials
from demt_perception.synthetic.meshes import Mesh
from demt_perception.synthetic.passes import by_pass

MOST = 32767  # Blender keeps an object's number in 16 bits
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
                f'no module named {name}: rendering needs Blender as a Python module, which '
                "wants NumPy 1: in an environment of its own, with Python 3.11, pip install "
                "'.[synthetic]' in the repository, or pip install bpy==4.5.15 OpenEXR "
                'opencv-python-headless')


class Stage:
    """One Blender scene, emptied first. There is one per process."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], samples: int,
                 threads: int = 0, air: weather.Weather = weather.DRY_SUN):
        check_blender()
        import bpy
        self.bpy = bpy
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene = bpy.context.scene
        self.size, self.samples = size, samples
        self.air, self.materials = air, Materials(bpy, rng, air)
        self._beams: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._meshes: dict[int, tuple] = {}
        # By render id, which Blender writes per pixel: 0 is nothing hit.
        self.instances, self._city = [0], [city_id(labels.SKY)]
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
            color: tuple = (1., 1., 1.), lit: bool = False, part_of: Any = None) -> Any:
        """Place a mesh as an object of a class; the same mesh may be placed many times.

        Args:
            mesh: its `kind` says what it is in Cityscapes.
            class_id: of CamVid, or 255.
            matrix: 4x4 pose, world.
            color: of its paint, linear RGB.
            lit: its lamps burn, where the hour has lamps.
            part_of: an object whose instance id it shares, as a rider that of the bicycle.

        Raises:
            ValueError: more objects than Blender numbers.
        """
        key = id(mesh)
        if key not in self._meshes:
            self._meshes[key] = mesh, self._convert(mesh)
        thing = self.bpy.data.objects.new('thing', self._meshes[key][1])
        if len(self.instances) >= MOST:
            raise ValueError(f'{len(self.instances)} objects in one scene: want below {MOST}')
        if part_of is None:
            number = self._numbers.get(class_id, 0)
            self._numbers[class_id] = number + 1
            instance = labels.instance_id(class_id, number % labels.PER_CLASS)
        else:
            instance = self.instances[part_of.pass_index]
        thing.pass_index = len(self.instances)
        self.instances.append(instance)
        self._city.append(city_id(class_id, mesh.kind))
        thing.color = (*color, float(lit and self.air.lamps))
        self.move(thing, np.eye(4) if matrix is None else matrix)
        self.scene.collection.objects.link(thing)
        return thing

    def lamp(self, matrix: np.ndarray, watts: float, color: tuple, cone: float,
             soft: float = .15) -> Any:
        """Place a spot light that shines along its frame's -z; angles in degrees."""
        light = self.bpy.data.lights.new('lamp', 'SPOT')
        light.energy, light.color = watts, color
        light.spot_size, light.spot_blend = math.radians(cone), .6
        light.shadow_soft_size = soft
        thing = self.bpy.data.objects.new('lamp', light)
        thing.visible_camera = False
        self.move(thing, matrix)
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
        if mesh.lanes is not None:
            values = np.zeros((len(data.vertices), 3))
            values[:len(mesh.lanes), :2] = mesh.lanes
            place = data.attributes.new('lanes', 'FLOAT_VECTOR', 'POINT')
            place.data.foreach_set('vector', values.ravel())
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
        """Light the scene; return what was drawn."""
        told = weather.light(self.bpy, self.scene, rng, self.air)
        if self.air.lamps:  # the headlights of the car that carries the camera
            self._beams = [self.lamp(np.eye(4), rng.uniform(1500, 5000), (1, .93, .8), 75.)
                           for _ in range(2)]
        return told

    def aim(self, matrix: np.ndarray, focal: float) -> None:
        """Place the camera: x right, y up, z backward; focal length in pixels."""
        self.move(self.camera, matrix)
        self.camera.data.lens = focal / self.size[0] * 36.
        for beam, x in zip(self._beams, (-.6, .6), strict=False):
            place = np.eye(4)
            place[:3, 3] = x, -.75, -.8
            place[1:3, 1:3] = (.9986, .0523), (-.0523, .9986)  # 3 degrees down
            self.move(beam, np.asarray(matrix) @ place)

    def view(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Render the camera's view twice: a picture, then one ray per pixel for labels.

        Returns:
            (H, W, 3) float32 linear RGB, and of the pixel centres: depth (H, W) metres along Z,
            +inf sky; normals (H, W, 3) optical frame; instance (H, W) ids; cityscapes (H, W)
            uint8 training ids; rays (H, W, 3).
        """
        picture = self._render(self.samples, True, 1.5)
        exact = self._render(1, False, 0.01)
        number = np.rint(exact['IndexOB']).astype(np.int32)
        hit = number > 0
        depth = np.where(hit, exact['Depth'], np.inf).astype(np.float32)
        focal = self.camera.data.lens / 36. * self.size[0]
        rays = labels.pixel_rays(self.size, (focal, focal))
        normals = labels.optical_normals(exact['Normal'], np.array(self.camera.matrix_world), rays,
                                         hit)
        return picture['Combined'], {
            'depth': depth, 'normals': normals, 'rays': rays,
            'instance': np.array(self.instances, np.int32)[number],
            'cityscapes': np.array(self._city, np.uint8)[number]}

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
        return by_pass(channels)
