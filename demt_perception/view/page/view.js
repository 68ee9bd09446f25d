// Wires the page together: what comes goes to the pictures and to the column beside them.

import { Panels } from './panels.js';
import { ball } from './plots.js';
import { Probe } from './probe.js';
import { health, highlight, legend, reports } from './side.js';
import { Stream } from './stream.js';

const FREEZE = 1500;   // ms that a pause waits for the values of the picture
const HISTORY = 600;
const UNKNOWN = 3;
const byId = (id) => document.getElementById(id);

let state = null;
let history = [];
let mode = 'live';     // then 'freezing' until the values are there, then 'paused'
let trouble = '';
let skew = 0;          // s by which the clock of the other machine is ahead of ours

let stream = null;

const panels = new Panels(byId('panels'), byId('count'), () => stream?.hurry());
const probe = new Probe(panels, byId('probe'), () => stream?.hurry());
probe.onClass = highlight;
stream = new Stream(
  () => ({ show: mode === 'paused' ? new Map() : panels.show, width: panels.width,
           probing: mode !== 'live' || probe.place !== null }),
  onMoment,
  (text) => { if (text !== trouble) { trouble = text; status(); } });

async function onMoment(moment) {
  skew = moment.time - Date.now() / 1000;
  if (moment.state) {
    if (!stream.version) history = [];
    take(moment.state);
  }
  if (moment.reports.length || moment.state) {
    history = recent([...history, ...moment.reports]);
    summary();
  }
  if (mode !== 'paused' && moment.pictures.length) {
    await panels.draw(moment.pictures);
    probe.ask();
    if (mode === 'freezing' && moment.complete) setMode('paused');
  }
}

// Of each camera the last reports: one that has many must not push out the others'.
function recent(all) {
  const seen = {};
  const isRecent = ({ camera }) => {
    seen[camera] = (seen[camera] ?? 0) + 1;
    return seen[camera] <= HISTORY;
  };
  return [...all].reverse().filter(isRecent).reverse();
}

function take(now) {
  state = now;
  byId('node').textContent = now.node;
  const cameras = [...new Set(now.topics.map((topic) => topic.camera))];
  const chosen = cameras.includes(panels.camera) ? panels.camera : cameras[0] ?? '';
  byId('camera-choice').hidden = cameras.length < 2;
  byId('camera').replaceChildren(...cameras.map((name) => new Option(name || 'all', name)));
  byId('camera').value = chosen;
  setCamera(chosen);
  health(now.health);
  status();
}

function setCamera(name) {
  const topics = JSON.stringify([state.topics, name]);
  if (topics !== panels.taken) {
    panels.taken = topics;
    panels.set(state.topics, name);
  }
  const classes = JSON.stringify(state.labels[name] ?? state.labels[''] ?? []);
  if (classes !== legend.taken) {
    legend.taken = classes;
    legend(JSON.parse(classes));
  }
  summary();
}

function summary() {
  const mine = history.filter((report) => report.camera === panels.camera);
  const shown = mine.length ? mine : history;
  reports(shown, Date.now() / 1000 + skew);
  const last = shown.at(-1);
  byId('model').textContent = last
    ? `${last.model} · ${last.engine} ${last.precision} · ${last.device}` : '';
}

function status() {
  // Of equals the one that has the rates; what is not known of the others is no trouble.
  const rank = ({ name, level }) => {
    const main = name.endsWith(': inference');
    return 2 * (level === UNKNOWN ? 0.5 * main : level) + main;
  };
  const worst = state?.health.reduce((one, other) => (rank(other) > rank(one) ? other : one),
                                     state.health[0]);
  const text = trouble || state?.hint || worst?.message || 'waiting for the first report';
  byId('status').dataset.level = trouble ? 2 : state?.hint ? 1 : worst?.level ?? 3;
  byId('status').lastElementChild.textContent = text;
  byId('status').title = text;
}

function setMode(next) {
  mode = next;
  byId('pause').setAttribute('aria-pressed', next !== 'live');
  byId('pause').textContent = next === 'live' ? 'Pause' : 'Resume';
  if (next === 'freezing') setTimeout(() => { if (mode === 'freezing') setMode('paused'); }, FREEZE);
  probe.freeze(next === 'paused');
  stream.hurry();
}

const pause = () => setMode(mode === 'live' ? 'freezing' : 'live');

function theme() {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = document.documentElement.dataset.theme ?? (dark ? 'dark' : 'light');
  document.documentElement.dataset.theme = now === 'dark' ? 'light' : 'dark';
  try { localStorage.setItem('demt-view-theme', document.documentElement.dataset.theme); } catch { /* not kept */ }
  summary();
}

try {
  const kept = localStorage.getItem('demt-view-theme');
  if (kept) document.documentElement.dataset.theme = kept;
} catch { /* not kept */ }
byId('pause').addEventListener('click', pause);
byId('theme').addEventListener('click', theme);
byId('camera').addEventListener('change', (event) => setCamera(event.target.value));
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('select, button, summary')) return;
  if (event.key === ' ') { pause(); event.preventDefault(); }
  if (event.key.toLowerCase() === 'd') theme();
});
addEventListener('resize', () => { if (state) summary(); stream.hurry(); });
ball(byId('ball'));
legend([]);
stream.run();
