"""Figures as tables for people."""

from collections.abc import Sequence

from demt_perception.bench.figures import growth, paired_ratio
from demt_perception.bench.results import Measurement, NodeMeasurement, Report
from demt_perception.ros.frame_statistics import PUBLISH
from demt_perception.ros.outputs import OUTPUTS

_BEFORE = ('receive', 'wait', 'convert', 'preprocess', 'engine', 'handover')


def make_table(report: Report) -> str:
    """Return the lines that ``demt bench`` prints."""
    host = report.host
    lines = [f'{host.get("processor", "?")}, {host.get("cores", "?")} cores, load average '
             f'{report.load[0]:.1f} before and {report.load[1]:.1f} after']
    if report.engines:
        lines += [f'energy: {report.energy}', '', *_engines(report.engines)]
    for node in report.nodes:
        lines += ['', *_node(node)]
    lines += [f'not measured: {name}: {why}' for name, why in report.failures.items()]
    return '\n'.join(lines) + '\n'


def _engines(rows: Sequence[Measurement]) -> list[str]:
    names = [_name(row, rows) for row in rows]
    width = max(map(len, names))
    first = rows[0]
    lines = [f'ratio: how many times faster than the first, median of the rounds (quartiles): '
             f'{first.combination}',
             'start: seconds from a new process to the first outputs, without and with engine '
             'cache', '',
             f'{"":{width}}{"engine ms":>11}{"ratio":>20}{"all ms":>10}{"p90":>10}{"p95":>10}'
             f'{"p99":>10}{"per s":>8}{"peak MB":>9}{"start s":>14}'
             + f'{"J":>8}' * any(row.joules is not None for row in rows)]
    for name, row in zip(names, rows, strict=True):
        ratio, low, high = paired_ratio(first.engine_rounds, row.engine_rounds)
        ratios = f'{ratio:.2f} ({low:.2f}..{high:.2f})'
        start = f'{row.cold.first:.1f} {row.warm.first:.1f}'
        lines.append(
            f'{name:{width}}{row.engine.median:>11.2f}{ratios:>20}{row.moment.median:>10.2f}'
            f'{row.moment.p90:>10.2f}{row.moment.p95:>10.2f}{row.moment.p99:>10.2f}'
            f'{row.per_second:>8.1f}{row.peak_mb:>9.0f}{start:>14}'
            + (f'{row.joules:>8.3f}' if row.joules is not None else ''))
    lines.append('')
    for name, row in zip(names, rows, strict=True):
        lines += [f'{name}: {row.used}',
                  '  ms: ' + ', '.join(f'{stage} {ms:.2f}' for stage, ms in row.stages.items())]
        if row.agreement:
            lines.append(f'  against the first: {row.agreement}')
    for label, exponent in growths(rows).items():
        lines.append(f'{label}: time grows as pixels^{exponent:.2f}')
    return lines


def growths(rows: Sequence[Measurement]) -> dict[str, float]:
    """Return the exponent of growth with pixels of all that was measured at several sizes."""
    found = {}
    for label, group in series(rows).items():
        exponent = growth([row.combination.size[0] * row.combination.size[1] for row in group],
                          [row.engine.median for row in group])
        if exponent is not None:
            found[label] = exponent
    return found


def series(rows: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Return rows that differ in size only, by what they have in common."""
    groups: dict[str, list[Measurement]] = {}
    for row in rows:
        way = row.combination
        cameras = f', {way.cameras} cameras' if way.cameras > 1 else ''
        groups.setdefault(f'{way.model} {way.engine} {way.precision}{cameras}', []).append(row)
    return groups


def _name(row: Measurement, rows: Sequence[Measurement]) -> str:
    """Return what tells a row from the others: engine, precision, and what is not all the same."""
    way = row.combination
    parts = [way.engine, way.precision]
    for text, values in ((way.model, {one.combination.model for one in rows}),
                         (f'{way.size[0]}x{way.size[1]}', {one.combination.size for one in rows})):
        if len(values) > 1:
            parts.insert(0, text)
    if len({one.combination.cameras for one in rows}) > 1:
        parts.append(f'{way.cameras} cameras')
    return ' '.join(parts)


def _node(node: NodeMeasurement) -> list[str]:
    height, width = node.image_size
    cpu = ', '.join(f'{name} {share:.2f}' for name, share in node.cpu.items())
    where = ', '.join(f'{name} {count}' for name, count in node.lost_where.items() if count)
    lines = [
        f'node: {node.model} on {node.engine} {node.precision}, {node.device}, '
        f'{node.threads or "its own choice of"} threads; {width}x{height} bgr8, all outputs '
        f'subscribed at {"" if node.output_scale == 1 else f"{node.output_scale:g} of "}that size',
        f'  rate         {node.rate:g} Hz for {node.seconds:g} s: {node.sent} frames, lost '
        f'{node.lost:.2%}' + (f' ({where})' if where else ''),
        f'  latency      stamp to reception of the last output: p50 {node.latency.median:.1f}, '
        f'p95 {node.latency.p95:.1f}, p99 {node.latency.p99:.1f} ms',
        f'  overhead     {node.overhead:.0%} of stamp to publication is not the engine',
        f'  memory       {node.memory_mb:.0f} MB, peak {node.peak_memory_mb:.0f} MB; torch is '
        f'{"LOADED" if node.torch_loaded else "not loaded"}',
        f'  processors   seconds a second: {cpu}',
        f'  first frame  {node.first_frame_s:.1f} s after the start of the process',
    ]
    if node.peak_hz is not None:
        tried = ', '.join(f'{one.rate:.1f} Hz {one.lost:.1%}' for one in node.trials)
        peak = f'{node.peak_hz:.1f} Hz' if node.peak_hz else 'none found'
        lines.append(f'  peak         {peak} with less than 1 % lost; tried: {tried}')
    return [*lines, *_stages(node)]


def _stages(node: NodeMeasurement) -> list[str]:
    """Return where each millisecond goes."""
    stages, attributes = dict(node.stages), {out.topic: out.attribute for out in OUTPUTS}
    total = stages.pop('total', (0.0, 0.0))
    stages.pop('publish', None)
    lines = [f'  {"ms, p50 and p95":<36}{"making":>15}{"sending":>15}']

    def row(name: str, first: str, second: str = '') -> None:
        cells = ''.join(f'{"{:.2f}  {:.2f}".format(*stages[key]):>15}' if key in stages
                        else f'{"":>15}' for key in (first, second))
        if cells.strip():
            lines.append(f'  {name:<36}{cells}'.rstrip())

    for name in _BEFORE:
        row(name, name)
    for topic in [*attributes, *(key.removeprefix(PUBLISH) for key in stages
                                 if key.startswith(PUBLISH)
                                 and key.removeprefix(PUBLISH) not in attributes)]:
        row(topic, attributes.get(topic, ''), PUBLISH + topic)
    return [*lines, f'  {"stamp to publication":<36}{"{:.2f}  {:.2f}".format(*total):>15}']
