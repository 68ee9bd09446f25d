"""Two files beside each other: what has become faster or slower, beyond what varies anyway."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from demt_perception.bench.figures import paired_ratio, quartiles
from demt_perception.bench.results import Measurement, NodeMeasurement, Report

SAME_HOST = ('processor', 'cores', 'flags', 'governor', 'gpu')


@dataclass(frozen=True)
class Change:
    """A figure of both files.

    Attributes:
        name: what was measured.
        before, after: ms, MB, ...; as the unit says.
        unit: of both.
        beyond: the quartiles of the one and of the other do not overlap; None: not known.
    """

    name: str
    before: float
    after: float
    unit: str
    beyond: bool | None

    @property
    def ratio(self) -> float:
        """After over before; 1 where both are 0."""
        if self.before:
            return self.after / self.before
        return 1.0 if not self.after else float('inf')


def compare(before: Report, after: Report) -> list[Change]:
    """Return the changes of everything that both files have, in the order of the second."""
    return [*_engine_changes(before, after), *_node_changes(before, after)]


def _engine_changes(before: Report, after: Report) -> Iterator[Change]:
    old = {row.combination: row for row in before.engines}
    firsts = (before.engines[:1], after.engines[:1])
    # Their ratio to the same first combination is free of what slowed the whole machine down.
    paired = all(firsts) and firsts[0][0].combination == firsts[1][0].combination
    for new in after.engines:
        if new.combination not in old:
            continue
        name, was = str(new.combination), old[new.combination]
        yield Change(f'{name}: engine', was.engine.median, new.engine.median, 'ms',
                     _apart(quartiles(was.engine_rounds), quartiles(new.engine_rounds)))
        yield Change(f'{name}: all', was.moment.median, new.moment.median, 'ms',
                     _apart(quartiles(was.moment_rounds), quartiles(new.moment_rounds)))
        if paired and new.combination != after.engines[0].combination:
            a, b = _ratio(firsts[0][0], was), _ratio(firsts[1][0], new)
            yield Change(f'{name}: times faster than the first', a[0], b[0], 'x',
                         _apart(a[1:], b[1:]))
        yield Change(f'{name}: peak memory', was.peak_mb, new.peak_mb, 'MB', None)
        yield Change(f'{name}: start with cache', was.warm.first, new.warm.first, 's', None)


def _node_changes(before: Report, after: Report) -> Iterator[Change]:
    for name, was, new in _common_nodes(before, after):
        yield Change(f'{name}: latency p50', was.latency.median, new.latency.median, 'ms', None)
        yield Change(f'{name}: latency p95', was.latency.p95, new.latency.p95, 'ms', None)
        yield Change(f'{name}: lost', 100 * was.lost, 100 * new.lost, '%', None)
        if was.peak_hz is not None and new.peak_hz is not None:
            yield Change(f'{name}: peak rate', was.peak_hz, new.peak_hz, 'Hz', None)
        yield Change(f'{name}: memory', was.memory_mb, new.memory_mb, 'MB', None)
        for stage in new.stages.keys() & was.stages.keys() & {'receive', 'engine', 'total'}:
            yield Change(f'{name}: {stage}', was.stages[stage][0], new.stages[stage][0], 'ms',
                         None)


def _ratio(first: Measurement, other: Measurement) -> tuple[float, float, float]:
    return paired_ratio(first.engine_rounds, other.engine_rounds)


def _apart(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[1] < b[0] or b[1] < a[0]


def _node_name(node: NodeMeasurement) -> str:
    return (f'node {node.model} {node.engine} {node.precision} '
            f'{node.image_size[1]}x{node.image_size[0]}')


def _named_nodes(nodes: Iterable[NodeMeasurement]) -> dict[str, NodeMeasurement]:
    """Return nodes by name, equal ones with a number: ``auto`` took an engine given as well."""
    named: dict[str, NodeMeasurement] = {}
    for node in nodes:
        name, number = _node_name(node), 2
        while name in named:
            name, number = f'{_node_name(node)} ({number})', number + 1
        named[name] = node
    return named


def _common_nodes(before: Report, after: Report,
                  ) -> Iterator[tuple[str, NodeMeasurement, NodeMeasurement]]:
    old = _named_nodes(before.nodes)
    for name, new in _named_nodes(after.nodes).items():
        if name in old:
            yield name, old[name], new


def unlike(before: Report, after: Report) -> list[str]:
    """Return a line for everything by which times differ that is not the work of the code."""
    pairs = [(key, before.host.get(key, '-'), after.host.get(key, '-')) for key in SAME_HOST]
    pairs.append(('source of the pictures', _source(before), _source(after)))
    if before.engines and after.engines:
        pairs.append(('size of the pictures', _size(before.image_size), _size(after.image_size)))
    old = {row.combination: row for row in before.engines}
    pairs += [(f'{row.combination} ran in', _taken(old[row.combination]), _taken(row))
              for row in after.engines if row.combination in old]
    for name, was, new in _common_nodes(before, after):
        pairs += [(f'{name}: rate', f'{was.rate:.1f} Hz', f'{new.rate:.1f} Hz'),
                  (f'{name}: threads', f'{was.threads}', f'{new.threads}'),
                  (f'{name}: device', was.device, new.device),
                  (f'{name}: output scale', f'{was.output_scale:g}', f'{new.output_scale:g}'),
                  (f'{name}: input size', _size(was.input_size), _size(new.input_size))]
    return [f'{what}: {was}, then {new}: the times do not compare'
            for what, was, new in pairs if was != new]


def _source(report: Report) -> str:
    return report.source or "the package's"


def _size(size: tuple[int, int] | None) -> str:
    return f'{size[0]}x{size[1]}' if size else 'not known'


def _taken(row: Measurement) -> str:
    """Return precision, engine and device in fact, without why."""
    return row.used.partition(': ')[0]


def comparison_table(before: Report, after: Report) -> str:
    """Return the lines that ``demt bench --compare`` prints."""
    changes = compare(before, after)
    lines = unlike(before, after)
    lines.append(f'load average: {before.load[0]:.1f} to {before.load[1]:.1f}, then '
                 f'{after.load[0]:.1f} to {after.load[1]:.1f}')
    if not changes:
        return '\n'.join([*lines, 'the files have nothing in common']) + '\n'
    width = max(len(change.name) for change in changes)
    lines.append(f'{"":{width}}{"before":>11}{"after":>11}{"ratio":>9}')
    for change in changes:
        verdict = {None: '', False: '  within the spread', True: '  beyond the spread'}
        lines.append(f'{change.name:{width}}{change.before:>11.2f}{change.after:>11.2f}'
                     f'{change.ratio:>9.3f} {change.unit:<3}{verdict[change.beyond]}'.rstrip())
    return '\n'.join(lines) + '\n'
