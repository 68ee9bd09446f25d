"""Makes the report of a soak from its record, also while it is still running.

    python test/soak/soak_report.py out/soak

Writes ``soak.md``, ``soak.json`` and ``soak.png`` beside ``soak.jsonl``; with ``--page`` also the
report's part of docs/reliability.md, docs/images/soak.png, and results.json beside this file.
"""

import argparse
import json
from pathlib import Path
import re
import shutil
import sys
import textwrap

sys.path.insert(0, str(Path(__file__).resolve().parent))

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt
from soak_figures import cpu_per_frame, judged, read_record, summary

ROOT = Path(__file__).resolve().parents[2]
PAGE = re.compile('(?<=<!-- soak: begin, written by soak_report.py --page -->\n).*?'
                  '(?=<!-- soak: end -->)', re.DOTALL)
LIMIT = 1.0
"""MB an hour that anonymous memory may grow after the warm-up."""
_NAMES = {
    'anon': 'anonymous memory (heap, arenas, stacks), MB',
    'anon_within': 'the same, while one model stays loaded and no fault is on, MB',
    'anon_freed': 'the same, each time the model is freed (unconfigured), MB',
    'uss_within': 'USS, while one model stays loaded and no fault is on, MB',
    'uss': 'USS, MB', 'pss': 'PSS, MB',
    'rss': 'RSS, MB', 'threads': 'threads', 'fds': 'file descriptors',
    'latency_p50_ms': 'latency at the listener, p50, ms',
    'engine_p50_ms': 'stage `engine`, p50, ms',
    'cpu_ms_per_frame': 'processor time of the node per frame, ms'}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.
                                     RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--page', action='store_true', help='write the page, too')
    options = parser.parse_args(arguments)
    folder = options.folder
    records = read_record(folder / 'soak.jsonl')
    found = summary(records)
    (folder / 'soak.json').write_text(json.dumps(found, indent=1) + '\n')
    (folder / 'soak.md').write_text(text(found))
    plot(records, folder / 'soak.png')
    if options.page:
        publish(folder, text(found))
    print(text(found))
    failures = troubles(found)
    print('\n'.join(failures) or 'as it has to be')
    return bool(failures)


def publish(folder, report):
    """Put the report into the page, and the plots and figures where it finds them."""
    page = ROOT / 'docs' / 'reliability.md'
    old = page.read_text(encoding='utf-8')
    shutil.copy(folder / 'soak.png', ROOT / 'docs' / 'images' / 'soak.png')
    shutil.copy(folder / 'soak.json', ROOT / 'test' / 'soak' / 'results.json')
    new, times = PAGE.subn(lambda _: (
        f'{report}\n![Memory, threads, descriptors, latency, recovery and load over the time of '
        'the soak](images/soak.png)\n'), old)
    if times != 1:
        raise ValueError(f'{page} has {times} places for the soak, want one: see PAGE')
    page.write_text(new, encoding='utf-8')


def troubles(found):
    """Return what is not as it has to be.

    Threads and descriptors are whole numbers: one that comes once, as more was at work at a time
    than before, and stays, is no growth. Of these the lower end of the interval counts.
    """
    grows = [f'{name} grows by {rates[0]:.2f} an hour (95 %: {rates[1]:.2f} to {rates[2]:.2f}), '
             f'want under {limit}'
             for name, limit, end in (('anon_within', LIMIT, 0), ('anon_freed', LIMIT, 0),
                                      ('threads', 0.1, 1), ('fds', 0.1, 1))
             if (rates := found['slopes_per_hour'][name]) and rates[end] > limit]
    counts = [f'{found[name]} {name}, want 0'
              for name in ('deaths', 'wrong_outputs', 'driver_errors', 'not_as_expected')
              if found[name]]
    end = found['ended']
    bad_end = [f'the node ended with {end["code"]} and {end["tracebacks"]} tracebacks'
               ] if end and (end['code'] or end['tracebacks']) else []
    return grows + counts + bad_end


def text(found):
    """Return the report as Markdown."""
    begin, outputs = found['begin'], (found['outputs'] or {}).get('semantic/image')
    recovery, latencies = found['recovery_s'], found['recovery_in_latencies']
    troubled = troubles(found)
    lines = [
        _wrapped(
            f'Begun {begin["date"]}: {found["seconds"]:.0f} s of {begin["seconds"]:.0f} s, seed '
            f'{begin["seed"]}, model {begin["model"]}, engine {begin["engine"]}, 1 thread, camera '
            f'640x360 at 30 Hz, `max_age` {begin["max_age"]} s. {begin["cores"]} cores, on which '
            f'others worked too: the median load was {found["load"]}.'), '',
        _wrapped(
            f'{found["frames_sent"]} good frames were sent, {outputs} went through the network. '
            f'{found["wrong_outputs"]} outputs were of bad frames or of none. {found["faults"]} '
            f'faults, {found["not_as_expected"]} of them not noticed as they should be, '
            f'{found["deaths"]} crashes. From the end of a fault to the next good output: p50 '
            f'{recovery[0]} s, p95 {recovery[1]} s, longest {recovery[2]} s; '
            f'{found["recovered_within_1_s"]} within 1 s. The latency of a frame was '
            f'{found["latency_p50_ms"]} ms meanwhile (median, of the load): the way back took '
            f'{latencies[0]} times that (p50), {latencies[1]} times (p95). Longest time without a '
            f'report: {found["longest_without_report_s"]} s.'), '',
        _wrapped(f'Not as wanted: {"; ".join(troubled)}.' if troubled else 'All is as wanted.'),
        '', '| after warm-up | per hour | 95 % interval | lowest and highest |',
        '|---|---|---|---|']
    for name, rates in found['slopes_per_hour'].items():
        span = found['range'].get(name)
        lines.append(
            f'| {_NAMES[name]} | {f"{rates[0]:+.2f}" if rates else "too short"} | '
            f'{f"{rates[1]:+.2f} to {rates[2]:+.2f}" if rates else ""} | '
            f'{f"{span[0]:.0f} to {span[1]:.0f}" if span else ""} |')
    lines += ['', '| fault | times | not as expected | wrong outputs | '
              'recovery p50 / p95 / max, s | seen |', '|---|---|---|---|---|---|']
    for row in found['table']:
        recovery = ' / '.join('-' if row[f'recovery_{q}_s'] is None else
                              f'{row[f"recovery_{q}_s"]:.2f}' for q in ('p50', 'p95', 'max'))
        lines.append(f'| {row["fault"]} | {row["times"]} | {row["not_as_expected"]} | '
                     f'{row["wrong_outputs"]} | {recovery} | {"; ".join(row["seen"])} |')
    return '\n'.join(lines) + '\n'


def _wrapped(paragraph):
    return textwrap.fill(paragraph, 99, break_long_words=False, break_on_hyphens=False)


def plot(records, path):
    """Draw memory, threads and descriptors, latency, rates, recovery and load over time."""
    samples, after = records['sample'], judged(records)
    minutes = [sample['t'] / 60 for sample in samples]
    figure, axes = plt.subplots(6, 1, figsize=(10, 15), sharex=True, layout='constrained')
    for name, label in (('rss', 'RSS'), ('pss', 'PSS'), ('uss', 'USS'), ('anon', 'anonymous')):
        axes[0].plot(minutes, [sample[name] for sample in samples], lw=0.8, label=label)
    axes[0].set_ylabel('MB')
    for name, label in (('threads', 'threads'), ('fds', 'file descriptors')):
        axes[1].plot(minutes, [sample[name] for sample in samples], lw=0.8, label=label)
    axes[1].set_ylabel('number')
    late = [sample for sample in samples if sample['latency']]
    for place, label in ((0, 'p50'), (1, 'p95')):
        axes[2].plot([sample['t'] / 60 for sample in late],
                     [sample['latency'][place] for sample in late], lw=0.8,
                     label=f'latency at the listener, {label}')
    axes[2].set_ylabel('ms')
    axes[2].set_ylim(0, None)
    times, values = cpu_per_frame(samples)
    axes[3].plot([t / 60 for t in times], values, lw=0.8, label='processor time per frame')
    axes[3].set_ylabel('ms')
    axes[3].set_ylim(0, None)
    faults = [fault for fault in records['fault'] if fault['recovery'] is not None]
    axes[4].semilogy([fault['t'] / 60 for fault in faults],
                     [fault['recovery'] for fault in faults], '.', ms=4,
                     label='time from the end of a fault to the next good frame')
    axes[4].axhline(1, color='grey', lw=0.8)
    axes[4].set_ylabel('s')
    axes[5].plot([load['t'] / 60 for load in records['load']],
                 [load['load'] for load in records['load']], lw=0.8,
                 label='load of the machine, 1 min')
    axes[5].set_xlabel('minutes')
    for axis in axes:
        axis.grid(alpha=0.3)
        for start in records['start'][1:]:
            axis.axvline(start['t'] / 60, color='red', lw=0.6, ls=':')
        if after:
            axis.axvspan(after[0]['t'] / 60, after[-1]['t'] / 60, color='green', alpha=0.05)
        axis.legend(loc='upper left', fontsize=8)
    axes[0].set_title('Soak: green is judged, red dotted lines are restarts', fontsize=10)
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == '__main__':
    sys.exit(main())
