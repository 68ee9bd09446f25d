// The column beside the pictures: classes, latency, counts, health.

import { make } from './panels.js';
import { plot } from './plots.js';

const BARS = 7;
const byId = (id) => document.getElementById(id);

export function legend(classes) {
  byId('legend').replaceChildren(...classes.map(({ id, name, color }) => {
    const swatch = make('i');
    swatch.style.backgroundColor = `rgb(${color.join(' ')})`;
    return make('li', { 'data-id': id, title: `${name}: ${id}` }, swatch, make('span', {}, name));
  }));
  if (!classes.length) {
    byId('legend').replaceChildren(make('li', {}, make('span', {}, 'no label table has come')));
  }
}

export function highlight(id) {
  for (const item of byId('legend').children) {
    item.classList.toggle('hit', id !== null && item.dataset.id === String(id));
  }
}

const LEVELS = ['good', 'warning', 'error', 'not heard of lately'];

// Changed in place: what is open stays open, and the keyboard's focus stays where it is.
export function health(statuses) {
  const list = byId('health');
  const names = JSON.stringify(statuses.map(({ name }) => name));
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...statuses.map(({ name }) => make(
      'article', {},
      make('div', { class: 'status' }, make('i', { class: 'level', role: 'img' }),
           make('p', {}, '', make('small', {}, name))),
      make('details', {}, make('summary', {}, 'Figures'), make('dl')))));
  }
  for (const [index, { level, message, values }] of statuses.entries()) {
    const article = list.children[index];
    article.firstChild.dataset.level = level;
    article.querySelector('i').setAttribute('aria-label', LEVELS[level] ?? '');
    article.querySelector('p').firstChild.data = message;
    article.querySelector('details').hidden = !values.length;
    article.querySelector('dl').replaceChildren(...values.flatMap(([key, value]) => [
      make('dt', {}, key), make('dd', {}, value)]));
  }
  if (!statuses.length) list.replaceChildren(make('p', { class: 'hint' }, 'No report has come yet.'));
}

// reports: statistics of one camera, oldest first; see ros/view_reports.py. now: seconds.
export function reports(list, now) {
  const total = list.filter((report) => report.stages.total);
  plot(byId('latency'), now,
       [{ values: total.map((report) => [report.time, report.stages.total[0]]), color: '--accent' }],
       [{ values: total.map((report) => [report.time, ...report.stages.total]), color: '--accent-soft' }]);
  plot(byId('rates'), now, [
    { values: list.map((report) => [report.time, report.input_rate]), color: '--second' },
    { values: list.map((report) => [report.time, report.output_rate]), color: '--accent' }]);
  const last = list.at(-1);
  if (!last) return;
  stages(last.stages);
  const total50 = last.stages.total;
  byId('latency').setAttribute('aria-label', total50
    ? `median ${total50[0].toFixed(0)} ms, 95 of 100 frames under ${total50[1].toFixed(0)} ms`
    : 'no latency yet');
  byId('rates').setAttribute('aria-label', `${last.input_rate.toFixed(1)} frames a second in, `
    + `${last.output_rate.toFixed(1)} out`);
  const drops = Object.entries(last.drops).filter(([, count]) => count);
  const rows = [
    ['in', `${last.input_rate.toFixed(1)} / s`, 'second'],
    ['out', `${last.output_rate.toFixed(1)} / s`, 'accent'],
    ['processed', last.processed.toLocaleString('en')],
    ['dropped', last.dropped.toLocaleString('en')],
    ...drops.map(([reason, count]) => [`– ${reason.replaceAll('_', ' ')}`, count.toLocaleString('en')]),
    ['nobody subscribed', last.idle.toLocaleString('en')]];
  byId('counts').replaceChildren(...rows.flatMap(([key, value, color]) => [
    make('dt', color ? { 'data-color': color } : {}, key), make('dd', {}, value)]));
}

// 'total' is their sum, and 'publish TOPIC' are parts of 'publish': no bars of their own. The
// longest have one; the others share the last.
function stages(all) {
  const rows = Object.entries(all).filter(([name]) => name !== 'total' && !name.includes(' '));
  const longest = [...rows].sort((one, other) => other[1][0] - one[1][0]).slice(0, BARS);
  const others = rows.filter((row) => !longest.includes(row));
  const shown = rows.filter((row) => longest.includes(row));
  if (others.length) {
    shown.push([`${others.length} others`, others.reduce(
      ([p50, p95], [, [more50, more95]]) => [p50 + more50, p95 + more95], [0, 0])]);
  }
  const most = Math.max(...shown.map(([, [p50]]) => p50), 0.1);
  byId('stages').replaceChildren(...shown.map(([name, [p50, p95]]) => {
    const bar = make('i');
    bar.style.width = `${100 * p50 / most}%`;
    return make('li', { title: `median ${p50.toFixed(1)} ms, 95 of 100 under ${p95.toFixed(1)} ms` },
                make('span', {}, name.replaceAll('_', ' ')), make('div', {}, bar),
                make('b', {}, p50.toFixed(1)));
  }));
}
