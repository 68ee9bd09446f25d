// Two small plots over the last two minutes, drawn on canvases in the colours of the page.

const SPAN = 120;   // s
const PAD = { left: 34, right: 6, top: 6, bottom: 16 };

// lines: [{values: [[time s, value]], color, label}]; bands: [{values: [[time, low, high]], color}]
export function plot(canvas, now, lines, bands = []) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width) return;
  const scale = devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const color = (name) => style.getPropertyValue(name).trim();
  const recent = (values) => values.filter(([time]) => time > now - SPAN - 5);
  const shown = lines.map((line) => recent(line.values));
  const ranges = bands.map((band) => recent(band.values));
  const top = ceiling(Math.max(0, ...shown.flat().map((point) => point[1]),
                               ...ranges.flat().map((point) => point[2])));
  const x = (time) => PAD.left + (width - PAD.left - PAD.right) * (1 - (now - time) / SPAN);
  const y = (value) => height - PAD.bottom - (height - PAD.top - PAD.bottom) * value / top;

  context.font = '11px system-ui, "DejaVu Sans", sans-serif';
  context.textBaseline = 'middle';
  context.lineWidth = 1;
  for (const part of [0, 0.5, 1]) {
    context.strokeStyle = color('--line');
    context.beginPath();
    context.moveTo(PAD.left, y(top * part));
    context.lineTo(width - PAD.right, y(top * part));
    context.stroke();
    context.fillStyle = color('--soft');
    context.textAlign = 'right';
    context.fillText(String(top * part), PAD.left - 6, y(top * part));
  }
  context.textAlign = 'left';
  context.fillText('2 min ago', PAD.left, height - 5);
  context.textAlign = 'right';
  context.fillText('now', width - PAD.right, height - 5);

  context.save();
  context.beginPath();
  context.rect(PAD.left, 0, width - PAD.left - PAD.right, height - PAD.bottom + 1);
  context.clip();
  for (const [index, band] of bands.entries()) {
    context.fillStyle = color(band.color);
    context.beginPath();
    for (const [time, low] of ranges[index]) context.lineTo(x(time), y(low));
    for (const [time, , high] of [...ranges[index]].reverse()) context.lineTo(x(time), y(high));
    context.fill();
  }
  for (const [index, line] of lines.entries()) {
    context.strokeStyle = color(line.color);
    context.lineWidth = 2;
    context.lineJoin = 'round';
    context.beginPath();
    for (const [time, value] of shown[index]) context.lineTo(x(time), y(value));
    context.stroke();
    const last = shown[index].at(-1);
    if (last) {
      context.fillStyle = color(line.color);
      context.beginPath();
      context.arc(x(last[0]) - 2, y(last[1]), 3, 0, 7);
      context.fill();
    }
  }
  context.restore();
}

// The next round number whose half is one, too; at least 1.
function ceiling(value) {
  if (!(value > 1)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

// What colours of normals mean: a ball, as the camera sees it. x right, y down, z forward.
export function ball(canvas) {
  const context = canvas.getContext('2d');
  const size = canvas.width;
  const image = context.createImageData(size, size);
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      const x = (2 * column + 1) / size - 1;
      const y = (2 * row + 1) / size - 1;
      const rest = 1 - x * x - y * y;
      if (rest > 0) {
        const at = 4 * (row * size + column);
        image.data.set([x, y, -Math.sqrt(rest)].map((part) => (part + 1) * 127.5), at);
        image.data[at + 3] = Math.min(255, rest * size * 40);
      }
    }
  }
  context.putImageData(image, 0, 0);
}
