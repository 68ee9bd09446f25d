"""Predict on images or folders of images and write all results as files.

For each image NAME: NAME_semantic.png (class ids), _semantic_color.png, _overlay.png,
_depth.png (16-bit millimetres, 0 invalid or beyond 65.5 m), _depth.npy (float32 metres, NaN
invalid), _normals.png (colours), _normals.npy (float32 HxWx3, camera optical frame),
_boundary.png (probability * 255), _human_parts.png (part ids), _human_parts_color.png,
_saliency.png (probability * 255), each where the model has the task, and _sheet.png.
"""

import argparse
from collections.abc import Iterable, Iterator
import io
import os
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from demt_perception.cli.camera_options import add_depth_scale
from demt_perception.cli.engine_choice import add_engine
from demt_perception.cli.input_size import add_input_size, size_options
from demt_perception.cli.outputs import OutputError

if TYPE_CHECKING:
    import numpy as np

    from demt_perception.inference import Predictions, Predictor

# Predictions that are written as they are: grey or RGB pictures of 8 bits.
PICTURES = ('semantic', 'semantic_color', 'overlay', 'boundary', 'human_parts',
            'human_parts_color', 'saliency')
SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt predict``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('images', nargs='+', type=Path, help='image files, or folders of them')
    parser.add_argument('--out', required=True, type=Path,
                        help='folder to write to; not that of the images')
    parser.add_argument('--model', help='model name or folder (default: the shipped one)')
    add_engine(parser)
    parser.add_argument('--threads', type=int, default=0, help='CPU threads; 0 chooses')
    add_input_size(parser)
    parser.add_argument('--fx', type=float, help='focal length in pixels of the image, for metric '
                        'depth (default: from the field of view that the card assumes)')
    parser.add_argument('--fy', type=float, help='the same, vertically (default: fx)')
    add_depth_scale(parser)


def run(args: argparse.Namespace) -> int:
    """Predict on every image; return 1 where one or more could not be read or written."""
    from demt_perception.inference import DEFAULT_MODEL, Predictor
    from demt_perception.inference.memory import keep_freed_memory

    keep_freed_memory()
    images = list(find_images(args.images))
    if not images:
        print(f'demt predict: no image ({", ".join(SUFFIXES)}) in '
              f'{", ".join(map(str, args.images))}', file=sys.stderr)
        return 1
    if args.fy is not None and args.fx is None:
        print('demt predict: --fy alone is not enough: give --fx too', file=sys.stderr)
        return 2
    focal = None if args.fx is None else (args.fx, args.fx if args.fy is None else args.fy)
    _refuse_folder_of_inputs(args.out, images)
    args.out.mkdir(parents=True, exist_ok=True)
    predictor = Predictor(args.model or DEFAULT_MODEL, args.engine, args.threads,
                          precision=args.precision,
                          **size_options(args.input_size, lambda: first_size(images)))
    engine = predictor.engine
    print(f'{predictor.card.name} on {engine.name}, {engine.device} ({engine.reason})')
    if focal is None:
        print(f'no --fx: depth assumes {predictor.card.assumed_hfov:g} degrees of horizontal view')
    failures = 0
    for number, (path, name) in enumerate(zip(images, _names(images), strict=True), 1):
        try:
            predictions = predict_file(predictor, path, focal)
            predictions.correct_depth(args.depth_scale)
            write(predictions, args.out, name)
        except (OSError, ValueError) as error:
            failures += 1
            print(f'[{number}/{len(images)}] {path}: {error}', file=sys.stderr)
            continue
        height, width = predictions.size
        print(f'[{number}/{len(images)}] {path}: {width}x{height}, network '
              f'{predictions.timings["engine"] * 1000:.0f} ms', flush=True)
    print(f'{len(images) - failures} of {len(images)} images written to {args.out}')
    return 1 if failures else 0


def find_images(paths: list[Path]) -> Iterator[Path]:
    """Yield files as given, and the images of folders in order of name."""
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def _refuse_folder_of_inputs(out: Path, images: Iterable[Path]) -> None:
    """Refuse to write where the images are: over some of them, and to be read as more of them.

    Raises:
        OutputError: the folder holds one, also by way of a link.
    """
    if not out.exists():
        return
    for path in images:
        for folder in (path.parent, path.resolve().parent):
            if folder.exists() and out.samefile(folder):
                raise OutputError(f'--out {out} is the folder of {path}: results could replace '
                                  'images, or be read as more of them; give another folder')


def first_size(images: Iterable[Path]) -> tuple[int, int] | None:
    """Return (height, width) of the first image that can be read; None where none can."""
    for path in images:
        try:
            height, width = read_image(path).shape[:2]
        except (OSError, ValueError):
            continue
        return height, width
    return None


def predict_file(
    predictor: 'Predictor', path: Path, focal: tuple[float, float] | None,
) -> 'Predictions':
    """Read one image and predict.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no image, or one that is not usable.
    """
    return predictor.predict(read_image(path), focal)


def read_image(path: Path) -> 'np.ndarray':
    """Return an image, uint8 HxWx3 BGR.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no image.
    """
    from demt_perception.inference.picture_file import read_picture

    return read_picture(path)


def write(predictions: 'Predictions', out: Path, name: str) -> None:
    """Write every output that the model has.

    Raises:
        OSError: a file cannot be written.
    """
    from demt_perception.inference.postprocess import millimetres

    for output in PICTURES:
        if hasattr(predictions, output):
            _write_png(out / f'{name}_{output}.png', getattr(predictions, output))
    if hasattr(predictions, 'depth'):
        _write_png(out / f'{name}_depth.png', millimetres(predictions.depth))
        _write_npy(out / f'{name}_depth.npy', predictions.depth)
    if hasattr(predictions, 'normals'):
        _write_png(out / f'{name}_normals.png', predictions.normals_color)
        _write_npy(out / f'{name}_normals.npy', predictions.normals)
    _write_png(out / f'{name}_sheet.png', predictions.sheet()[..., ::-1])


def _write_png(path: Path, image: 'np.ndarray') -> None:
    """Write a grey or RGB image whole or not at all."""
    import cv2
    import numpy as np

    if image.ndim == 3:
        image = np.ascontiguousarray(image[..., ::-1])
    good, content = cv2.imencode('.png', image)
    if not good:
        raise OSError(f'{path}: OpenCV cannot encode an image of shape {image.shape}')
    _write_whole(path, content.tobytes())


def _write_npy(path: Path, array: 'np.ndarray') -> None:
    """Write an array whole or not at all."""
    import numpy as np

    content = io.BytesIO()
    np.save(content, array)
    _write_whole(path, content.getvalue())


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + '.part')
    part.write_bytes(content)
    os.replace(part, path)


def _names(images: list[Path]) -> Iterator[str]:
    """Yield a file name stem for each image; equal ones get a number."""
    seen: set[str] = set()
    for path in images:
        name, number = path.stem, 2
        while name in seen:
            name, number = f'{path.stem}_{number}', number + 1
        seen.add(name)
        yield name
