"""The demo's figures as a table for people."""

import textwrap
from typing import Any

from demt_perception.ros.frame_statistics import PUBLISH


def make_table(result: dict[str, Any], playing: str) -> str:
    """Return the lines that `demt demo` prints, from `run_demo`'s result."""
    return '\n'.join([*_summary(result, playing), '', *_topics(result['topics'])]) + '\n'


def _summary(result: dict[str, Any], playing: str) -> list[str]:
    lines = [f'playing      {playing}']
    stats = result['stats']
    if stats:
        drops = ', '.join(f'{reason} {count}' for reason, count in stats['drop_counts'].items()
                          if count)
        lines += [
            f'model        {stats["model"]} on {stats["engine"]}, {stats["device"]}, '
            f'{stats["precision"]}',
            f'frames       in {stats["received"]}, processed {stats["processed"]}, '
            f'dropped {stats["dropped"]}' + (f' ({drops})' if drops else '')
            + (f', idle {stats["idle"]} (nobody listened yet)' if stats['idle'] else ''),
        ]
        stages = stats['stages']
        if 'total' in stages:
            lines.append(f'latency      camera stamp to publication: '
                         f'p50 {stages["total"]["p50_ms"]:.1f} ms, '
                         f'p95 {stages["total"]["p95_ms"]:.1f} ms')
        parts = ', '.join(f'{name} {values["p50_ms"]:.1f}' for name, values in stages.items()
                          if name != 'total' and not name.startswith(PUBLISH))
        lines += textwrap.wrap(f'stages       p50, ms: {parts}', 98,
                               subsequent_indent=' ' * 13)
    lines += [
        f'memory       node {result["memory_mb"]:.0f} MB, peak {result["peak_memory_mb"]:.0f} MB; '
        f'torch is {"LOADED" if result["torch_loaded"] else "not loaded"}',
        f'first frame  {result["first_frame_s"]:.1f} s after the start of the node',
    ]
    return lines


def _topics(topics: dict[str, dict[str, Any]]) -> list[str]:
    lines = [f'{"topic":<24}{"rate Hz":>9}{"messages":>10}{"kB each":>9}'
             f'{"stamp to reception p50":>24}{"p95 ms":>8}']
    for name, row in topics.items():
        if row['messages']:
            lines.append(f'{name:<24}{row["rate"]:>9.1f}{row["messages"]:>10}'
                         f'{row["bytes"] / 1000:>9.0f}{row["p50_ms"]:>24.1f}'
                         f'{row["p95_ms"]:>8.1f}')
        else:
            lines.append(f'{name:<24}{"nothing came":>19}')
    return lines
