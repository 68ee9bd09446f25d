"""Say of a video or of pictures what the node's self-check would; or learn what is usual.

With --learn the model's card gets what its outputs are like on clean pictures. The shipped model
has it; one that you trained does not, and without it only the picture itself is judged.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from demt_perception.cli.sampling import recorded_frames

if TYPE_CHECKING:
    import numpy as np

    from demt_perception.inference import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt self-check``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('sources', nargs='+', metavar='SOURCE',
                        help='a video, or a folder of pictures, each of which is judged alone')
    parser.add_argument('--model', help='model folder or name (default: the shipped one)')
    parser.add_argument('--engine', default='auto', help='default: auto')
    parser.add_argument('--learn', action='store_true', help='learn from the sources, clean ones '
                        'of all that the model is to know, and write it onto the card')
    parser.add_argument('--most', type=int, default=200, metavar='N',
                        help='pictures of each source to learn from (default 200)')


def run(args: argparse.Namespace) -> int:
    """Judge or learn; 1 where anything but good was found."""
    from demt_perception.inference import DEFAULT_MODEL, Predictor

    predictor = Predictor(args.model or DEFAULT_MODEL, args.engine)
    return _learn(predictor, args) if args.learn else max(
        [_judge(predictor, source) for source in args.sources])


def _learn(predictor: 'Predictor', args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from demt_perception.inference.self_check.learning import learn
    from demt_perception.model_card import save_card

    lengths = []
    for source in args.sources:
        lengths.append(0)
        for name, _, picture, trouble in _pictures(source):
            if picture is None:
                print(f'{source}: {name} is left out: {trouble}', file=sys.stderr)
            else:
                lengths[-1] += 1

    def pictures() -> 'Iterator[np.ndarray]':
        for source, length in zip(args.sources, lengths, strict=True):
            every = -(-length // max(args.most, 1))
            usable = (picture for _, picture in recorded_frames(source) if not _trouble(picture))
            for index, picture in enumerate(usable):
                if index % every == 0:
                    yield picture

    card = learn(predictor, lambda: tqdm(pictures(), unit='picture', file=sys.stderr))
    save_card(card, predictor.folder)
    print(f'{predictor.folder}: what is usual, and what is as odd as it gets')
    for name, (usual, oddest) in card.usual.items():
        print(f'  {name:20} {usual:8.4f} {oddest:8.4f}')
    return 0


def _judge(predictor: 'Predictor', source: str) -> int:
    """Print a line whenever what is told changes, and a sum; return 1 if anything was told."""
    from demt_perception.inference.self_check.watch import SelfCheck

    alone = Path(source).expanduser().is_dir()
    check, told, odd, count, unread = SelfCheck(), '', 0, 0, 0
    for place, now, picture, trouble in _pictures(source):
        if picture is None:
            unread += 1
            print(f'{place:14} cannot be read: {trouble}')
            continue
        if alone:
            check = SelfCheck()
        elif not check.is_due(now):
            continue
        health = check.look(predictor.predict(picture), now)
        if health is None:
            continue
        count += 1
        reasons = health.troubles if alone else health.reasons
        odd += bool(reasons)
        words = ', '.join(reason.words for reason in reasons)
        if words != told:
            print(f'{place:14} {words or "nothing unusual"} (score {health.score:.2f})')
            told = words
    unreadable = f'; cannot be read: {unread}' if unread else ''
    print(f'{source}: {odd} of {count} checks found something{unreadable}')
    return int(odd + unread > 0)


def _pictures(source: str) -> 'Iterator[tuple[str, float, np.ndarray | None, str]]':
    """Yield name or time, seconds, picture, and why there is none where that is None."""
    from demt_perception.bags.metadata import METADATA_FILE
    from demt_perception.inference.picture_file import read_picture
    from demt_perception.ros.sources import image_files

    folder = Path(source).expanduser()
    files = image_files(folder) if folder.is_dir() and not (
        folder / METADATA_FILE).is_file() else []
    # What is not judged is told by name, where a camera would go on without it.
    for path in files:
        picture, trouble = None, ''
        try:
            picture = read_picture(path)
            trouble = _trouble(picture)
        except (OSError, ValueError) as error:
            trouble = str(error)
        yield path.name, 0.0, None if trouble else picture, trouble
    if not files:
        for now, frame in recorded_frames(source):
            trouble = _trouble(frame)
            yield f'{now:.1f} s', now, None if trouble else frame, trouble


def _trouble(picture: 'np.ndarray') -> str:
    """Return why a Predictor would refuse a picture, or ''."""
    from demt_perception.inference.preprocess import check_image, ImageError

    try:
        check_image(picture)
    except ImageError as error:
        return str(error)
    return ''
