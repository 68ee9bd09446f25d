"""A bag in, a bag of predictions out. No rclpy.

One thread reads, several take an image each from its bytes to a compressed chunk, one writes the
chunks in order. The threads wait for one another only at the network, and what they do beside it
is done outside of Python's lock.
"""

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
import os
from pathlib import Path
import queue
from typing import Any, NamedTuple

from demt_perception import __version__
from demt_perception.bags import Bag, BagError, open_bag, ReadingError
from demt_perception.bags.bag import holds_bag
from demt_perception.bags.camera_topics import all_cameras, Camera
from demt_perception.bags.mcap_writer import PieceWriter, read_result
from demt_perception.bags.metadata import METADATA_FILE, write_metadata
from demt_perception.bags.pieces import Encoded, make_piece, Piece
from demt_perception.inference import find_model, Predictor
from demt_perception.model_card import load_card
from demt_perception.ros.ahead import ahead
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import focal_lengths
from demt_perception.ros.offline.frames import first_size, Frame, look, read_frames
from demt_perception.ros.offline.recording import Recorder
from demt_perception.ros.offline.streams import side_by_side

_MOST_WORKERS = 8
_AHEAD = 2
"""Frames that wait to be worked on or written; all outputs of one of 720p take up to 32 MB."""


@dataclass(frozen=True)
class Options:
    """What is to be done with a bag.

    Attributes:
        model: name or folder.
        predictor: more arguments of ``Predictor`` by name.
        fit: whether the network is to see pictures in the shape of the bag's first.
        every: take every n-th image of a camera.
        topics: image topics; none: see ``all_cameras``.
        outputs: see ``Recorder``.
        output_scale: size of the outputs relative to the image.
        compression: of the chunks, see ``pieces.COMPRESSIONS``.
        depth_scale: depth of all cameras is multiplied by it.
        rectified: whether their images are, see ``is_rectified``.
    """

    model: str
    predictor: dict[str, Any] = field(default_factory=dict)
    fit: bool = False
    every: int = 1
    topics: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    output_scale: float = 1.0
    compression: str = 'lz4'
    depth_scale: float = 1.0
    rectified: str = 'auto'


@dataclass
class Progress:
    """How far a bag is; what of it the output's file keeps, too.

    Attributes:
        seen: images read, those passed over included.
        done: frames written.
        dropped: by reason, how many were bad and what was wrong with the first.
        infos: the same of camera_info that could not be used.
        labelled: cameras whose labels are written.
        damage: where the bag could not be read to its end, why; ''.
        total: images to process, those passed over left out; None where it is not known.
    """

    seen: int = 0
    done: int = 0
    dropped: dict[str, tuple[int, str]] = field(default_factory=dict)
    infos: dict[str, tuple[int, str]] = field(default_factory=dict)
    labelled: list[str] = field(default_factory=list)
    damage: str = ''
    total: int | None = None

    @property
    def taken(self) -> int:
        """Images that were processed, the bad ones included."""
        return self.done + sum(count for count, _ in self.dropped.values())

    def kept(self) -> dict[str, Any]:
        """Return what the output's file keeps: no total, as a mended metadata.yaml has another."""
        return asdict(self) | {'total': None}


def process(path: Path, out: Path, options: Options,
            report: Callable[[Progress, int | None], None]) -> Progress:
    """Run a model on every image of a bag and write a bag of what the node would publish.

    What was begun with the same options is gone on with; what is done is left as it is, unless
    it ends at damage and the bag, with the same storage files, can be read further now.

    Args:
        path: a bag, see ``open_bag``.
        out: folder to write, a bag of one MCAP file.
        options: see there.
        report: told how far it is at the beginning and after each frame, and how many images are
            to be processed, where that is known.

    Raises:
        BagError: the bag cannot be read, or the output is not to be overwritten.
        ReadingError: it cannot be read to its end, but is not damaged; what is done so far can be
            gone on with.
        ModelCardError: there is no such model.
        EngineError: the engine failed; what is done so far can be gone on with.
        ValueError: an argument of the predictor is not valid.
    """
    with open_bag(path) as bag:
        cameras = all_cameras(bag.topics, options.topics)
        counts = [camera.image.count for camera in cameras]
        total = None if None in counts else sum(
            -(-(count or 0) // options.every) for count in counts)
        card = load_card(find_model(options.model))
        recorder = Recorder(card, [camera.name for camera in cameras], options.outputs)
        predictor = Predictor(
            options.model, **options.predictor,
            image_size=first_size(bag, cameras) if options.fit else None,
            tasks=None if recorder.tasks == card.tasks else recorder.tasks)
        predictors = [predictor] if options.predictor.get('threads') else side_by_side(
            predictor, total)
        try:
            return _Job(bag, out, options, cameras, predictors, recorder).run(
                total, lambda progress: report(progress, total))
        finally:
            for predictor in predictors:
                predictor.close()


class _Made(NamedTuple):
    """What was made of one frame; ``trouble`` with its camera_info, or ''."""

    stamp: Any
    piece: Piece | None
    trouble: str


class _Job:
    """One bag on its way."""

    def __init__(self, bag: Bag, out: Path, options: Options, cameras: list[Camera],
                 predictors: list[Predictor], recorder: Recorder) -> None:
        self._bag, self._out, self._options = bag, out, options
        self._cameras, self._predictor, self._recorder = cameras, predictors[0], recorder
        self._free: queue.SimpleQueue[Predictor] = queue.SimpleQueue()
        for predictor in predictors:
            self._free.put(predictor)

    def run(self, total: int | None, report: Callable[[Progress], None]) -> Progress:
        file = self._out / f'{self._out.name}_0.mcap'
        part = file.with_name(f'{file.name}.part')
        settings = self._settings()
        if file.is_file():
            before, state = read_result(file)
            if before != settings:
                if state['damage'] and before | {'bag': settings['bag']} == settings:
                    raise BagError(f'{file} ends at damage of the bag, whose files are others by '
                                   'now: give another output, or delete it, and all is done anew')
                raise BagError(f'{file} was made by another model, of another bag or with other '
                               'options: give another output, or delete it')
            if (self._out / METADATA_FILE).is_file():
                progress = Progress(**state | {'total': total})
                if not (progress.damage and self._reads_on(progress.seen)):
                    return progress
                (self._out / METADATA_FILE).unlink()
            os.replace(file, part)   # or killed between the two
        elif not part.exists() and holds_bag(self._out):
            raise BagError(f'{self._out} holds another bag: give another output')
        self._out.mkdir(parents=True, exist_ok=True)
        writer = PieceWriter(part, settings, self._recorder.channels)
        try:
            progress = Progress(**writer.state | {'total': total})
            self._write(writer, progress, report)
            writer.finish(progress.kept())
            os.replace(part, file)
            write_metadata(self._out, file.name, self._recorder.channels, writer.counts,
                           writer.begin or 0, writer.end or 0)
        finally:
            writer.close()
        return progress

    def _reads_on(self, seen: int) -> bool:
        """Tell whether the bag has no damage right behind the images that were read before."""
        with closing(read_frames(self._bag, self._cameras, self._options.every, seen)) as frames:
            try:
                next(frames, None)
            except ReadingError:
                raise
            except BagError:
                return False
        return True

    def _settings(self) -> dict[str, Any]:
        """Return all that the result depends on, as JSON has it."""
        card, engine, options = self._predictor.card, self._predictor.engine, self._options
        return {
            'version': __version__, 'bag': [self._bag.path.name, *self._bag.fingerprints],
            'cameras': [[camera.name, camera.image.name, camera.info and camera.info.name]
                        for camera in self._cameras],
            'model': card.name, 'onnx_sha256': card.onnx_sha256, 'tasks': list(card.tasks),
            'engine': [engine.name, engine.device, engine.precision],
            'input_size': list(self._predictor.input_size),
            'every': options.every, 'outputs': list(options.outputs),
            'output_scale': options.output_scale, 'compression': options.compression,
            'depth_scale': options.depth_scale, 'rectified': options.rectified}

    def _write(self, writer: PieceWriter, progress: Progress,
               report: Callable[[Progress], None]) -> None:
        report(progress)
        workers = min(os.cpu_count() or 1, _MOST_WORKERS) + 1
        with ThreadPoolExecutor(workers, 'bag') as pool, closing(
                ahead(self._work(pool, progress.seen), workers + _AHEAD, 'reading')) as results:
            try:
                for frame, future in results:
                    try:
                        self._append(writer, progress, frame, future.result())
                    except BadImageError as error:
                        _count(progress.dropped, error.reason, str(error))
                        progress.seen = frame.seen
                    report(progress)
            except ReadingError:
                raise   # not finished: another run goes on from here
            except BagError as error:
                progress.damage = str(error)

    def _work(self, pool: ThreadPoolExecutor, skip: int,
              ) -> Generator[tuple[Frame, Future], None, None]:
        with closing(read_frames(
                self._bag, self._cameras, self._options.every, skip)) as frames:
            for frame in frames:
                yield frame, pool.submit(self._process, frame)

    def _process(self, frame: Frame) -> _Made:
        """Do all the work on one image, in one of several threads; raises BadImageError."""
        header, bgr, info, trouble = look(frame, self._options.rectified)
        focal = None if info is None else focal_lengths(info)
        predictor = self._free.get()
        try:
            predictions = predictor.predict(bgr, focal, self._options.output_scale)
        except ValueError as error:
            raise BadImageError('bad_size', str(error)) from error
        finally:
            self._free.put(predictor)
        predictions.correct_depth(self._options.depth_scale)
        messages = self._recorder.frame(
            frame.camera, frame.message.time_ns, header, predictions, info)
        return _Made(header.stamp, self._piece(messages), trouble)

    def _piece(self, messages: list[Encoded]) -> Piece | None:
        return make_piece(messages, self._options.compression) if messages else None

    def _append(self, writer: PieceWriter, progress: Progress, frame: Frame, made: _Made) -> None:
        """Write a frame, and before the first of a camera what its class ids mean."""
        if frame.camera not in progress.labelled:
            progress.labelled.append(frame.camera)
            labels = self._piece(self._recorder.labels(
                frame.camera, frame.message.time_ns, made.stamp))
            if labels is not None:
                writer.append(labels, progress.kept())
        progress.seen = frame.seen
        progress.done += 1
        if made.trouble:
            _count(progress.infos, 'bad_camera_info', made.trouble)
        if made.piece is not None:
            writer.append(made.piece, progress.kept())


def _count(troubles: dict[str, Any], reason: str, text: str) -> None:
    count, first = troubles.get(reason, (0, text))
    troubles[reason] = count + 1, first
