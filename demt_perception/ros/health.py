"""Turns the node's state and statistics into a verdict and key-value pairs. No rclpy."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from demt_perception.ros.frame_statistics import (
    INFOS,
    LOST,
    NOT_DUE,
    NOT_WANTED,
    PUBLISH,
    Snapshot,
)

OK, WARN, ERROR = 0, 1, 2  # levels of diagnostic_msgs/DiagnosticStatus

# Drops that are as they should be: more frames came than the model can do.
_NORMAL = ('superseded',)
_NORMAL_EVENTS = (INFOS, 'resolution_changed', LOST, NOT_DUE, NOT_WANTED)


@dataclass(frozen=True)
class Inference:
    """What runs: model, engine, device, precision; dashes before a model is loaded.

    And what is being built to go on with, and how far that is; '' for nothing; why the engine
    counts as slow; the name of what is wrong with it, see ``EngineCare``; how often it was loaded
    anew for that.
    """

    model: str = '-'
    engine: str = '-'
    device: str = '-'
    precision: str = '-'
    building: str = ''
    slow: str = ''
    trouble: str = ''
    restarts: int = 0


def status_name(node: str, of: str) -> str:
    """Return the name of a diagnostic status by the node's full name.

    With its namespace: ``/diagnostics`` has none, so that nodes of one name in several would
    overwrite each other's.
    """
    return f'{node.lstrip("/")}: {of}'


def told_age(age: float | None) -> float:
    """Return the age of a frame for InferenceStats: -1 says that it is not known.

    So one that is -1 by chance, to the millisecond that is told, is told to be another.
    """
    if age is None:
        return -1.0
    return age if abs(age + 1) >= 0.0005 else -1.001


def without(snapshot: Snapshot, event: str) -> Snapshot:
    """Return a snapshot in which an event is still counted, but no trouble of this period."""
    return replace(snapshot, new={
        name: count for name, count in snapshot.new.items() if name != event})


def degraded(inference: Inference, snapshot: Snapshot, input_trouble: str,
             alarms: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of all that is not as it should be in a period; none: all is well.

    Args:
        inference: what runs.
        snapshot: what happened to the frames.
        input_trouble: see ``verdict``.
        alarms: of the self-check.
    """
    names = [name for name in (
        inference.trouble, 'engine_slow' if inference.slow else '',
        'engine_stand_in' if inference.building else '',
        'input' if input_trouble else '') if name]
    names += sorted(name for name in snapshot.new if name not in (*_NORMAL, *_NORMAL_EVENTS))
    return tuple(dict.fromkeys([*names, *(f'self_check {alarm}' for alarm in alarms)]))


def verdict(state: str, failure: str, snapshot: Snapshot, input_trouble: str,
            slow: str = '') -> tuple[int, str]:
    """Return level and message for people.

    Args:
        state: unconfigured, configuring, inactive, active or finalized; something may be said of
            it after a comma.
        failure: why the last transition failed, or ''.
        snapshot: what happened to the frames.
        input_trouble: why no image comes, or that images get lost; ''.
        slow: why the engine counts as slow; ''.
    """
    if failure:
        return ERROR, failure
    if state != 'active':
        warn = state.partition(',')[0] in ('unconfigured', 'configuring')
        return (WARN if warn else OK), f'{state}: no frames are processed'
    for reason in ('engine_hung', 'engine_error', 'publish_error'):
        if reason in snapshot.new:
            return ERROR, _counted(snapshot, reason)
    if input_trouble:
        return WARN, input_trouble
    troubles = [name for name in snapshot.new if name not in (*_NORMAL, *_NORMAL_EVENTS)]
    if troubles:
        return WARN, '; '.join(_counted(snapshot, name) for name in sorted(troubles))
    if slow:
        return WARN, slow
    if snapshot.new.get(NOT_WANTED) and not snapshot.output_rate:
        return OK, f'{snapshot.input_rate:.1f} Hz in; nobody subscribes to an output: at rest'
    latency = snapshot.stages.get('total')
    text = f'{snapshot.input_rate:.1f} Hz in, {snapshot.output_rate:.1f} Hz out'
    if snapshot.new.get(NOT_DUE) and not snapshot.output_rate:
        return OK, f'{text}: no task was due that somebody subscribes to (every)'
    return OK, text + (f', {latency[0]:.0f} ms from camera to publication' if latency else '')


def values(inference: Inference, snapshot: Snapshot, age: float | None, memory: float,
           troubles: Iterable[str] = ()) -> dict[str, str]:
    """Return the pairs of the diagnostic status.

    Args:
        inference: what runs.
        snapshot: what happened to the frames.
        age: seconds since the stamp of the newest frame; None where that is not known.
        memory: resident set, MB.
        troubles: see ``degraded``.
    """
    pairs: dict[str, object] = {
        'engine': inference.engine, 'model': inference.model, 'device': inference.device,
        'precision': inference.precision, 'building': inference.building or '-',
        'engine_restarts': inference.restarts,
        'input_rate': f'{snapshot.input_rate:.2f}', 'output_rate': f'{snapshot.output_rate:.2f}',
        'received': snapshot.received, 'processed': snapshot.processed,
        'idle': snapshot.idle, 'dropped': snapshot.dropped,
        'degraded': ', '.join(troubles) or '-',
    }
    pairs |= {f'dropped_{reason}': count for reason, count in sorted(snapshot.drops.items())}
    pairs |= dict(sorted(snapshot.events.items()))
    for stage, (p50, p95) in snapshot.stages.items():
        if stage.startswith(PUBLISH):  # InferenceStats has them: too many for a status
            continue
        pairs |= {f'{stage}_p50_ms': f'{p50:.2f}', f'{stage}_p95_ms': f'{p95:.2f}'}
    pairs |= {'last_frame_age_s': 'unknown' if age is None else f'{age:.3f}',
              'rss_mb': f'{memory:.0f}'}
    return {key: str(value) for key, value in pairs.items()}


def _counted(snapshot: Snapshot, name: str) -> str:
    detail = snapshot.details.get(name, '')
    return f'{name}: {snapshot.new[name]} new' + (f', {detail}' if detail else '')
