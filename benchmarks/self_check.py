"""How well the self-check tells spoilt pictures from clean ones, and how often it cries wolf.

What the model knows and all limits were chosen on CamVid's train and val and ``CHOSEN_ON``; all
that is printed is of other pictures. With --learn, what is usual is learnt anew first and written
to the card.

Run: python benchmarks/self_check.py CAMVID VIDEOS [--other FOLDER] [--json FILE] [--learn]
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
import json
from pathlib import Path
import time
import zlib

from corruptions import CORRUPTIONS
import cv2
import numpy as np

from demt_perception.inference import DEFAULT_MODEL, Predictor
from demt_perception.inference.self_check.learning import learn
from demt_perception.inference.self_check.watch import Health, SelfCheck
from demt_perception.inference.video_file import open_video
from demt_perception.model_card import save_card

PERIOD = 0.2
"""Seconds of video between checks, as in the node."""

CHOSEN_ON = (('challenge01.mp4', 0, 1, 4), ('challenge03.mp4', 0, 0.5, 8),
             ('project_video01.mp4', 0, 1, 4), ('project_video02.mp4', 0, 1, 8))
"""Beside CamVid's train (every third) and val: video, from, to (shares of it), every so many."""

REPORTED_ON = (('project_video03.mp4', 0, 1), ('challenge02.mp4', 0, 1),
               ('challenge03.mp4', 0.5, 1))
SPOILT_VIDEO, SPOILT_FROM = 'project_video03.mp4', 8.0
SPOILT_FOR = 6.0
MIXED, MIXED_WITH = 'mixed', 'challenge02.mp4'
"""Every other frame is of another video: two cameras on one topic."""


def main() -> None:
    """Print tables; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('camvid', type=Path, help='folder with train, val and test')
    parser.add_argument('videos', type=Path, help='folder with the Udacity videos, see the docs')
    parser.add_argument('--other', type=Path, help='pictures of anything but streets')
    parser.add_argument('--street', type=Path, nargs='*', default=[], help='more street pictures')
    parser.add_argument('--model', default=DEFAULT_MODEL)
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--every', type=int, default=1, help='of the test pictures')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--learn', action='store_true')
    args = parser.parse_args()
    predictor = Predictor(args.model, args.engine, 1)
    if args.learn:
        save_card(learn(predictor, lambda: _to_learn(args)), predictor.folder)
        predictor = Predictor(args.model, args.engine, 1)
    found = {'conditions': f'{predictor.card.name}, {predictor.engine.reason}',
             'pictures': _pictures(predictor, args), 'video': _videos(predictor, args),
             'spoilt_video': _spoilt(predictor, args), 'milliseconds': _cost(predictor, args)}
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')


def _pictures(predictor: Predictor, args: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Judge single pictures: CamVid's test, clean and spoilt, and others."""
    def test() -> Iterator[tuple[str, np.ndarray]]:
        return _folder(args.camvid / 'test', args.every)

    def spoil(name: str) -> Iterator[np.ndarray]:
        for file, picture in test():
            yield CORRUPTIONS[name](picture, _random(file + name))

    clean = [_judge(predictor, picture) for _, picture in test()]
    print(f'{"pictures":14} {"n":>4} {"AUC":>6} {"alarm":>6}  told first')
    found = {'clean': _row('clean', clean, clean)}
    for name in CORRUPTIONS:
        found[name] = _row(name, clean, [_judge(predictor, one) for one in spoil(name)])
    if args.other:
        found['other'] = _row('no street', clean, [
            _judge(predictor, picture) for _, picture in _folder(args.other)])
    for folder in args.street:
        found[folder.name] = _row(folder.name, clean, [
            _judge(predictor, picture) for _, picture in _folder(folder)])
    return found


def _row(name: str, clean: list[Health], judged: list[Health]) -> dict[str, object]:
    told = Counter(health.troubles[0].words if health.troubles else '-' for health in judged)
    row = {'pictures': len(judged), 'auc': area_under_roc(
        [health.score for health in clean], [health.score for health in judged]),
        'alarms': float(np.mean([health.score >= 1 for health in judged])), 'told': dict(told)}
    print(f'{name:14} {row["pictures"]:4} {row["auc"]:6.3f} {row["alarms"]:6.1%}  '
          + ', '.join(f'{reason} {n}' for reason, n in told.most_common(4)), flush=True)
    return row


def _videos(predictor: Predictor, args: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Judge clean driving video as the node does."""
    print(f'\n{"clean video":22} {"checks":>6} {"alarm":>6} {"of one frame alone":>18}')
    found = {}
    for name, begin, end in REPORTED_ON:
        judged = list(_watch(predictor, _frames(args.videos / name, begin, end)))
        told = Counter(reason.words for health in judged for reason in health.reasons)
        row = {'checks': len(judged), 'told': dict(told),
               'alarms': float(np.mean([health.level > 0 for health in judged])),
               'single': float(np.mean([health.score >= 1 for health in judged]))}
        key = name if (begin, end) == (0, 1) else f'{name} {begin:g}-{end:g}'
        found[key] = row
        print(f'{key:22} {row["checks"]:6} {row["alarms"]:6.2%} {row["single"]:18.2%}  '
              f'{dict(told) or ""}', flush=True)
    return found


def _spoilt(predictor: Predictor, args: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Spoil a video from a moment on; tell how long it takes to be told, and what is."""
    print(f'\n{SPOILT_VIDEO}, spoilt after {SPOILT_FROM:g} s: seconds to the alarm, what is told '
          'first')
    found = {}
    for name in (*CORRUPTIONS, MIXED):
        found[name] = {'seconds': None, 'told': ''}
        frames = _spoilt_frames(args.videos, name)
        for count, health in enumerate(_watch(predictor, frames)):
            if health.reasons:
                found[name] = {'seconds': round(count * PERIOD - SPOILT_FROM, 1),
                               'told': health.reasons[0].words}
                break
        print(f'{name:14} {found[name]["seconds"]} {found[name]["told"]}', flush=True)
    return found


def _spoilt_frames(videos: Path, name: str) -> Iterator[tuple[float, np.ndarray]]:
    others = (picture for _, picture in _frames(videos / MIXED_WITH, 0, 1))
    for index, (now, picture) in enumerate(_frames(videos / SPOILT_VIDEO, 0, 1)):
        if now > SPOILT_FROM + SPOILT_FOR:
            return
        # The same numbers for every frame, except for noise, which is new in each.
        seed = name if name != 'noise' else f'{now}'
        if now >= SPOILT_FROM and name != MIXED:
            picture = CORRUPTIONS[name](picture, _random(seed))
        elif now >= SPOILT_FROM and index % 2:
            picture = next(others)
        yield now, picture


def _cost(predictor: Predictor, args: argparse.Namespace) -> dict[str, float]:
    """Time the check beside the engine, on frames of a video."""
    check, spent, engine = SelfCheck(PERIOD), [], []
    for index, (_, picture) in enumerate(_frames(args.videos / REPORTED_ON[0][0], 0, 0.2)):
        predictions = predictor.predict(picture)
        begin = time.perf_counter()
        check.look(predictions, index * PERIOD)
        spent.append(1e3 * (time.perf_counter() - begin))
        engine.append(1e3 * predictions.timings['engine'])
    cost = {'check': float(np.median(spent)), 'engine': float(np.median(engine))}
    height, width = picture.shape[:2]
    print(f'\none check of {width}x{height}: {cost["check"]:.1f} ms (median), {1 / PERIOD:g} '
          f'times a second; the engine takes {cost["engine"]:.1f} ms a frame')
    return cost


def area_under_roc(clean: Iterable[float], spoilt: Iterable[float]) -> float:
    """Return the chance that a spoilt picture scores higher than a clean one; ties count half."""
    below = np.sort(list(clean))
    values = np.array(list(spoilt))
    ranks = np.searchsorted(below, values, 'left') + np.searchsorted(below, values, 'right')
    return float(ranks.mean() / 2 / len(below))


def _judge(predictor: Predictor, picture: np.ndarray) -> Health:
    health = SelfCheck().look(predictor.predict(picture), 0.0)
    assert health is not None   # the first frame is always due
    return health


def _watch(predictor: Predictor, frames: Iterable[tuple[float, np.ndarray]]) -> Iterator[Health]:
    check = SelfCheck(PERIOD)
    for now, picture in frames:
        health = check.look(predictor.predict(picture), now)
        if health is not None:
            yield health


def _to_learn(args: argparse.Namespace) -> Iterator[np.ndarray]:
    for split, every in (('train', 3), ('val', 1)):
        for _, picture in _folder(args.camvid / split, every):
            yield picture
    for name, begin, end, every in CHOSEN_ON:
        for _, picture in _frames(args.videos / name, begin, end, every):
            yield picture


def _folder(folder: Path, every: int = 1) -> Iterator[tuple[str, np.ndarray]]:
    for path in sorted(path for path in folder.iterdir() if path.suffix in ('.jpg', '.png'))[
            ::every]:
        picture = cv2.imread(str(path))
        if picture is None:
            raise SystemExit(f'{path} cannot be read as a picture')
        yield path.name, picture


def _frames(video: Path, begin: float, end: float, every: int = 0,
            ) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (seconds, picture): every so many, or, where that is 0, those that are checked."""
    capture = open_video(video)
    count, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    if not count:
        raise SystemExit(f'{video} cannot be read as a video')
    every = every or round(PERIOD * rate)
    for index in range(int(count * end)):
        if not capture.grab():
            return
        if index >= int(count * begin) and index % every == 0:
            yield index / every * PERIOD, capture.retrieve()[1]


def _random(text: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(text.encode()))


if __name__ == '__main__':
    main()
