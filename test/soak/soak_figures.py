"""Figures of a soak from its record: slopes with confidence intervals, faults, recovery."""

from collections import defaultdict
from itertools import pairwise
import json

import numpy as np

BLOCK = 120.0
"""Seconds whose median is one point of a slope: samples close in time are not independent."""
HEAVY = ('parameter', 'size', 'set tasks', 'load model', 'load bad model', 'clean up')
"""Faults after which other memory is kept than before: a model was loaded, or there were other
arrays; the first, as a task that is due at every third frame only may get an engine."""
SETTLING = 20.0
"""Seconds after a heavy fault whose memory is not judged."""
# Of Student's distribution, two-sided 95 %, by degrees of freedom.
_T95 = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262,
        10: 2.228, 12: 2.179, 15: 2.131, 20: 2.086, 25: 2.06, 30: 2.042, 40: 2.021,
        60: 2.0}


def read_record(path):
    """Return the records of a file by kind; a last line that was cut is left out."""
    records = defaultdict(list)
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        records[record['kind']].append(record)
    return records


def slope(times, values, block=BLOCK):
    """Return the slope per hour of a line through medians of blocks, and the 95 % interval.

    Least squares. Residuals of neighbouring blocks that go together widen the interval, as for
    a first-order autoregression.

    Args:
        times: seconds, ascending.
        values: as many.
        block: seconds.

    Returns:
        (slope, low, high) per hour; None where there are fewer than 4 blocks.
    """
    times, values = np.asarray(times, float), np.asarray(values, float)
    index = ((times - times[0]) // block).astype(int) if len(times) else times
    found = [index == k for k in np.unique(index)]
    if len(found) < 4:
        return None
    x = np.array([times[part].mean() for part in found]) / 3600
    y = np.array([np.median(values[part]) for part in found])
    x = x - x.mean()
    rate = float(x @ y / (x @ x))
    rest = y - y.mean() - rate * x
    count = len(x)
    error = np.sqrt(rest @ rest / (count - 2) / (x @ x))
    together = float(rest[1:] @ rest[:-1] / max(rest @ rest, 1e-30))
    together = min(max(together, 0.0), 0.9)
    error *= np.sqrt((1 + together) / (1 - together))
    free = max(2, round(count * (1 - together) / (1 + together))) - 2
    wide = student(max(free, 1)) * error
    return rate, rate - wide, rate + wide


def student(free):
    """Return the 97.5 % quantile of Student's distribution, or of the next fewer degrees."""
    return _T95[max(n for n in _T95 if n <= free)]


def judged(records):
    """Return the samples of the longest-lived process after the warm-up.

    That is from the share ``warm_up`` of the time on, and half of it after the process began.
    """
    samples = records['sample']
    if not samples:
        return []
    begin = records['begin'][0]
    lives = defaultdict(list)
    for sample in samples:
        lives[sample['pid']].append(sample)
    longest = max(lives.values(), key=lambda life: life[-1]['t'] - life[0]['t'])
    warm_up = begin['seconds'] * begin['warm_up']
    after = max(warm_up, longest[0]['t'] + warm_up / 2)
    return [sample for sample in longest if sample['t'] >= after]


def calm(records, samples):
    """Return the samples outside faults, each with a number for the heavy faults before it.

    Between two heavy faults the same model is in the same memory: what grows there, leaks. What
    they begin in the background, as the engine of a set of tasks, has ``SETTLING`` to end.
    """
    spans = []
    for fault in records['fault']:
        begin = fault['t'] - (fault['recovery'] or 0) - fault['seconds']
        weighs = fault['name'] in HEAVY
        spans.append((begin, fault['t'] + (SETTLING if weighs else 1), weighs))
    found = []
    for sample in samples:
        if not any(begin <= sample['t'] <= end for begin, end, _ in spans):
            found.append((sum(end < sample['t'] and heavy for _, end, heavy in spans), sample))
    return found


def slope_within(groups, times, values):
    """Return the common slope per hour of groups that have levels of their own, and 95 %.

    Least squares with a constant for each group; the interval treats a group as one
    observation, however its residuals go together.
    """
    groups, times, values = (np.asarray(one) for one in (groups, times, values))
    x, y = np.zeros(len(times)), np.zeros(len(times))
    for group in np.unique(groups):
        part = groups == group
        x[part] = (times[part] - times[part].mean()) / 3600
        y[part] = values[part] - values[part].mean()
    count = len(np.unique(groups))
    if count < 3 or not x @ x:
        return None
    rate = float(x @ y / (x @ x))
    parts = [float(x[groups == g] @ (y - rate * x)[groups == g]) for g in np.unique(groups)]
    error = float(np.sqrt(np.sum(np.square(parts)) * count / (count - 1))) / float(x @ x)
    wide = student(count - 1) * error
    return rate, rate - wide, rate + wide


def cpu_per_frame(samples):
    """Return (time, CPU milliseconds of the node per published frame) between samples."""
    times, values = [], []
    for old, new in pairwise(samples):
        if old['processed'] is None or new['processed'] is None:
            continue
        frames = new['processed'] - old['processed']
        if frames >= 5 and old['pid'] == new['pid']:
            times.append(new['t'])
            values.append((new['cpu'] - old['cpu']) / frames * 1000)
    return times, values


def own_faults(records):
    """Return the faults but those in which somebody else ended the node."""
    ended = {stop['t'] for stop in records['death'] if stop['code'] == 0}
    return [fault for fault in records['fault']
            if not any(0 <= end - fault['t'] < 1 for end in ended)]


def fault_table(faults_of_all):
    """Return a row for each fault: name, times, missed, wrong outputs, seconds of recovery."""
    rows = []
    for name in sorted({fault['name'] for fault in faults_of_all}):
        faults = [fault for fault in faults_of_all if fault['name'] == name]
        recovery = [f['recovery'] for f in faults if f['recovery'] is not None]
        rows.append({
            'fault': name, 'times': len(faults),
            'not_as_expected': sum(bool(f['trouble']) for f in faults),
            'wrong_outputs': sum(f['wrong'] for f in faults),
            'not_recovered': len(faults) - len(recovery),
            'recovery_p50_s': _percentile(recovery, 50),
            'recovery_p95_s': _percentile(recovery, 95),
            'recovery_max_s': _percentile(recovery, 100),
            'seen': sorted({f['seen'] for f in faults if f['seen']})[:8],
            'troubles': sorted({f['trouble'][:300] for f in faults if f['trouble']})[:5]})
    return rows


def in_latencies(faults, samples):
    """Return recoveries as multiples of the latency that frames had before, where it is known.

    On a machine with other work a good frame takes long by itself.
    """
    times = [sample['t'] for sample in samples if sample['latency']]
    latencies = [sample['latency'][0] / 1000 for sample in samples if sample['latency']]
    found = []
    for fault in faults:
        before = int(np.searchsorted(times, fault['t'] - fault['seconds']))
        if fault['recovery'] is not None and before:
            usual = float(np.median(latencies[max(before - 6, 0):before]))
            found.append(fault['recovery'] / usual)
    return found


def summary(records):
    """Return all figures of the report."""
    samples, begin = judged(records), records['begin'][0]
    times = [sample['t'] for sample in samples]
    block = min(BLOCK, max((times[-1] - times[0]) / 6, 1)) if times else BLOCK
    end = max((record['t'] for kind in records.values() for record in kind), default=0)
    slopes = {}
    for name in ('anon', 'uss', 'pss', 'rss', 'threads', 'fds'):
        slopes[name] = slope(times, [sample[name] for sample in samples], block)
    quiet = calm(records, samples)
    groups, quiet = [group for group, _ in quiet], [sample for _, sample in quiet]
    for name in ('anon', 'uss'):
        slopes[f'{name}_within'] = slope_within(
            groups, [s['t'] for s in quiet], [s[name] for s in quiet])
    freed = [one for one in records['unconfigured']
             if samples and one['pid'] == samples[0]['pid'] and one['t'] >= times[0]]
    slopes['anon_freed'] = slope([s['t'] for s in freed], [s['anon'] for s in freed], 1)
    with_latency = [sample for sample in samples if sample['latency']]
    slopes['latency_p50_ms'] = slope([s['t'] for s in with_latency],
                                     [s['latency'][0] for s in with_latency], block)
    infer = [s for s in samples if 'engine' in s['stages']]
    slopes['engine_p50_ms'] = slope([s['t'] for s in infer],
                                    [s['stages']['engine'][0] for s in infer], block)
    slopes['cpu_ms_per_frame'] = slope(*cpu_per_frame(samples), block)
    faults = own_faults(records)
    recovery = [f['recovery'] for f in faults if f['recovery'] is not None]
    newest = records['sample'][-1] if records['sample'] else {}
    return {
        'begin': begin, 'seconds': round(end, 1), 'judged_samples': len(samples),
        'judged_from_s': times[0] if times else None, 'slopes_per_hour': slopes,
        'range': {name: [min(s[name] for s in samples), max(s[name] for s in samples)]
                  for name in ('anon', 'uss', 'rss', 'threads', 'fds')} if samples else {},
        'frames_sent': newest.get('sent'), 'outputs': newest.get('outputs'),
        'wrong_outputs': newest.get('wrong'),
        'faults': len(faults), 'not_as_expected': sum(bool(f['trouble']) for f in faults),
        'recovery_s': [_percentile(recovery, q) for q in (50, 95, 100)],
        'recovery_in_latencies': [_percentile(in_latencies(faults, records['sample']), q)
                                  for q in (50, 95)],
        'latency_p50_ms': _percentile([s['latency'][0] for s in with_latency], 50),
        'recovered_within_1_s': sum(r <= 1 for r in recovery),
        'starts': len(records['start']),
        'deaths': sum(death['code'] != 0 for death in records['death']),
        'stopped_by_others': sum(death['code'] == 0 for death in records['death']),
        'driver_errors': len(records['driver_error']),
        'longest_without_report_s': max((s['report_gap'] for s in samples), default=None),
        'load': _percentile([record['load'] for record in records['load']], 50),
        # Without the node's last words, which name places of the machine.
        'ended': {key: value for key, value in records['end'][0].items() if key != 'log'}
        if records['end'] else None,
        'table': fault_table(faults),
    }


def _percentile(values, share):
    return round(float(np.percentile(values, share)), 3) if len(values) else None
