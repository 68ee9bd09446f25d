"""All targets by name; a module is imported when one of its targets is wanted."""

import importlib

from fuzz_target import Target

MODULES = {
    'fuzz_images': ('image message', 'size of a compressed image', 'compressed image',
                    'camera_info'),
    'fuzz_bags': ('bag: sqlite3', 'bag: MCAP', 'bag: ROS 1', 'bag: zstd', 'bag: metadata.yaml',
                  'bag: compressed message', 'recorded message'),
    'fuzz_ros': ('message read by ROS', 'image shown'),
    'fuzz_models': ('model card: values', 'model card: text', 'ONNX file', 'engine cache'),
    'fuzz_weights': ('checkpoint', 'checkpoint of training', 'single-task figures'),
    'fuzz_datasets': ('picture of a dataset', 'label picture', 'NumPy file', 'MATLAB file',
                      'dataset.yaml'),
    'fuzz_engines': ('ONNX graph in onnxruntime',),
    'fuzz_configs': ('training configuration: values', 'training configuration: text',
                     'calibration: values', 'calibration: text', 'parameters',
                     'report of demt bench'),
    'fuzz_cli': ('arguments of verbs', 'argument: size'),
    'fuzz_view': ('view: request', 'view: headers'),
}
NAMES = tuple(name for names in MODULES.values() for name in names)


def find_target(name: str) -> Target:
    """Return a target by its name."""
    (module,) = [module for module, names in MODULES.items() if name in names]
    target: Target = importlib.import_module(module).TARGETS[name]
    return target
