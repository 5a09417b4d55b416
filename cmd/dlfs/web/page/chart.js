// The rate over time, as an area.

import { bytes } from "./format.js";

// fit gives a canvas as many pixels as the screen has for it, and returns a context whose
// unit is a pixel of CSS.
export function fit(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const c = canvas.getContext("2d");
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  return { c, width, height };
}

// color is a color of the style sheet, as it is now.
export const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const least = 60e3; // milliseconds that the chart spans at least

// nice is a round number that is at least n.
function nice(n) {
  let unit = 1024;
  while (unit * 1000 < n) unit *= 1024;
  for (const m of [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]) if (m * unit >= n) return m * unit;
  return n;
}

export function drawChart(canvas, past) {
  const { c, width, height } = fit(canvas);
  if (!past.length || !width) return;
  const end = past.at(-1).at, begin = Math.min(past[0].at, end - least);
  const top = nice(Math.max(...past.map(p => p.bytes_per_second), 1024));
  const x = at => (at - begin) / (end - begin) * width;
  const y = r => height - 18 - r / top * (height - 36);
  c.font = "12px system-ui, sans-serif";
  c.fillStyle = color("--quiet");
  c.strokeStyle = color("--line");
  c.lineWidth = 1;
  for (const r of [0, top]) {
    c.beginPath();
    c.moveTo(0, Math.round(y(r)) + .5);
    c.lineTo(width, Math.round(y(r)) + .5);
    c.stroke();
  }
  c.textAlign = "left";
  c.fillText(`${bytes(top)}/s`, 0, y(top) - 5);
  c.fillText(`${Math.round((end - begin) / 60e3) || 1} min ago`, 0, height - 3);
  c.textAlign = "right";
  c.fillText("now", width, height - 3);
  c.beginPath();
  past.forEach((p, i) => i ? c.lineTo(x(p.at), y(p.bytes_per_second)) : c.moveTo(x(p.at), y(p.bytes_per_second)));
  c.lineJoin = "round";
  c.lineWidth = 2;
  c.strokeStyle = color("--present");
  c.stroke();
  c.lineTo(x(end), y(0));
  c.lineTo(x(past[0].at), y(0));
  c.globalAlpha = .16;
  c.fillStyle = color("--present");
  c.fill();
  c.globalAlpha = 1;
  canvas.dataset.at = end;
  canvas.setAttribute("aria-label", `Rate over time: ${bytes(past.at(-1).bytes_per_second)} a second now, at most ${bytes(Math.max(...past.map(p => p.bytes_per_second)))}`);
}
