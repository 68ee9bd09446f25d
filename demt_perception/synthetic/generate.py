"""Render a data set of generated streets: scene by scene, resumable, on one machine or many."""

import os
from pathlib import Path
import sys
import time

import numpy as np

from demt_perception.synthetic import camera as cameras
from demt_perception.synthetic import labels, layout, post, weather
from demt_perception.synthetic.stage import check_blender, Stage
from demt_perception.synthetic.street import Street
from demt_perception.synthetic.traffic import Traffic
from demt_perception.training.spread import spread


def view_name(seed: int, view: int) -> str:
    """Return the name of a view of the scene of a seed."""
    return f'{seed:06d}_{view:02d}'


def view_draws(seed: int, view: int) -> np.random.Generator:
    """Return where the camera, the traffic and the lens of a view are drawn from.

    NumPy fills a key up with zeros, so that [seed, 0] would draw what the street was drawn from.
    """
    return np.random.default_rng([seed, view] if view else [seed, 0, 1])


def generate(count: int, out: str | Path, seed: int = 0, size: tuple[int, int] = (512, 288),
             samples: int = 4, views_per_scene: int = 10, processes: int = 1,
             ray: str | None = None) -> int:
    """Render `count` views of the scenes `seed`, `seed` + 1 ...; complete views are kept.

    Args:
        count: views wanted in all.
        out: folder, see `layout`.
        seed: of the first scene; a view depends on its scene's seed and its number only.
        size: width, height in pixels.
        samples: light paths per pixel before denoising.
        views_per_scene: views of each street.
        processes: scenes rendered at the same time.
        ray: None, or where `spread` finds Ray; every machine needs Blender and the folder.

    Returns:
        How many views were rendered now.

    Raises:
        RequestError: a number is out of range, or the folder was begun with others.
        ImportError: Blender is missing, or Ray where it is wanted.
        ConnectionError: there is no Ray cluster at the address.
    """
    if min(count, *size, samples, views_per_scene, processes) < 1:
        raise layout.RequestError(
            f'count {count}, size {size}, samples {samples}, views per scene {views_per_scene}, '
            f'processes {processes}: want all above zero')
    if seed < 0:
        raise layout.RequestError(f'seed is {seed}: want 0 or more')
    check_blender()
    layout.prepare(out, size, samples)
    wanted = [(seed + i // views_per_scene, i % views_per_scene) for i in range(count)]
    missing: dict[int, list[int]] = {}
    for scene, view in wanted:
        if not layout.is_complete(out, view_name(scene, view)):
            missing.setdefault(scene, []).append(view)
    total = sum(map(len, missing.values()))
    # On Ray a scene has a core; here the processes share all of them.
    threads = 1 if ray else max(1, (os.cpu_count() or 1) // processes)
    folder = os.path.abspath(out)   # Ray's processes start elsewhere
    jobs = [(scene, views, folder, size, samples, threads) for scene, views in missing.items()]
    started, done = time.time(), 0
    _progress(0, total, started)
    # A process per scene: Blender keeps memory of every scene that it has shown.
    for rendered in spread(_render_job, jobs, processes, ray, fresh=True):
        done += rendered
        _progress(done, total, started)
    if total:
        print(file=sys.stderr)
    return done


def render_scene(seed: int, views: list[int], out: str, size: tuple[int, int], samples: int,
                 threads: int = 0) -> int:
    """Render some views of one street; return how many."""
    rng = np.random.default_rng(seed)
    air = weather.draw(np.random.default_rng([seed, 54321]))
    stage = Stage(rng, size, samples, threads, air)
    light = stage.sky(np.random.default_rng([seed, 12345]))
    street = Street(stage, rng)
    traffic = Traffic(street)
    for view in views:
        draw = view_draws(seed, view)
        shot = cameras.draw(draw, street, size[0])
        traffic.distribute(draw, shot['s'], shot['direction'], shot['t'])
        stage.aim(cameras.matrix(street.road, shot), shot['focal'])
        linear, exact = stage.view()
        picture, faults = post.develop(linear, exact['depth'], exact['rays'], draw,
                                       air)
        edge = labels.boundaries(exact['instance'], exact['depth'], exact['normals'],
                                 exact['rays'])
        layout.write_view(
            out, view_name(seed, view), post.encode(picture), exact['instance'],
            labels.class_of(exact['instance']), exact['cityscapes'], exact['depth'],
            exact['normals'], edge,
            {'fx': shot['focal'], 'fy': shot['focal'], 'cx': (size[0] - 1) / 2,
             'cy': (size[1] - 1) / 2, 'width': size[0], 'height': size[1],
             'height_m': shot['height'], 'pitch': shot['pitch'], 'roll': shot['roll'],
             'yaw': shot['yaw'], 'seed': seed, 'view': view, 'street': street.kind,
             **light, **faults})
    return len(views)


def _render_job(job: tuple) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Blender reports each render
    return render_scene(*job)


def _progress(done: int, total: int, started: float) -> None:
    filled = 30 * done // max(total, 1)
    pace = (time.time() - started) / max(done, 1)
    left = f'{pace:.1f} s/view, {pace * (total - done) / 60:.0f} min left' if done else ''
    print(f'\r[{"#" * filled}{"." * (30 - filled)}] {done}/{total} {left}   ', end='',
          file=sys.stderr, flush=True)
