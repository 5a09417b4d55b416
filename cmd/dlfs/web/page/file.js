// One file, with the map of its blocks.

import { $, ask, element, facts, notice, order, set } from "./dom.js";
import { bytes, clock, count, plural, share, shown } from "./format.js";
import { color, fit } from "./chart.js";

const side = 9, gap = 2; // pixels of a cell, and between two
const mostRows = 18;

export class FileView {
  constructor() {
    this.dialog = $("file");
    this.live = true;
    $("file-close").onclick = () => this.dialog.close();
    this.dialog.addEventListener("click", e => { if (e.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("close", () => { clearTimeout(this.timer); this.name = undefined; });
    $("file-first").onclick = async e => {
      if (await order("first", { name: this.name }, e.target) !== undefined) this.say("It is fetched next.");
    };
    $("file-retry").onclick = async e => {
      const n = await order("retry", { name: this.name }, e.target);
      if (n !== undefined) this.say(n === "0" ? "It has not failed." : "It is tried again.");
    };
    $("map").addEventListener("mousemove", e => this.point(e));
    $("map").addEventListener("mouseleave", () => set($("map-at"), ""));
  }

  say(text) {
    notice(text, true);
    set($("map-at"), text);
    this.load();
  }

  open(name) {
    this.name = name;
    this.detail = undefined;
    set($("file-name"), shown(name));
    for (const id of ["file-facts", "mirrors"]) $(id).replaceChildren();
    for (const id of ["file-state", "file-amount", "map-at"]) set($(id), "");
    $("file-error").hidden = true;
    if (!this.dialog.open) this.dialog.showModal();
    this.load();
  }

  // columns is how many cells of the map are beside each other.
  get columns() { return Math.max(8, Math.floor(($("map").getBoundingClientRect().width + gap) / (side + gap))); }

  // load asks for the file, and does so again each second.
  async load() {
    clearTimeout(this.timer);
    const name = this.name;
    try {
      const d = await ask("file", { name, cells: Math.min(this.columns * mostRows, 2048) });
      if (name === this.name) this.show(d);
    } catch (err) {
      if (name === this.name) this.fail(err.message);
    }
    if (name !== undefined && name === this.name) this.timer = setTimeout(() => this.load(), 1000);
  }

  fail(text) {
    $("file-error").hidden = !text;
    set($("file-error"), shown(text));
  }

  show(d) {
    this.detail = d;
    const percent = share(d.present, d.size);
    $("file-state").className = `state ${d.state}`;
    set($("file-state"), d.state.replace("-", " "));
    set($("file-amount"), d.size < 0 ? `${bytes(d.present)} of a size that is not known` : `${bytes(d.present)} of ${bytes(d.size)} · ${percent} %`);
    this.fail(d.error);
    $("file-first").disabled = d.state === "complete" || !this.live;
    $("file-retry").hidden = !["failed", "needs-url", "mismatch"].includes(d.state);
    this.drawMap(d);
    $("file-facts").replaceChildren(...facts([
      ["Version", shown([d.etag, d.last_modified].filter(Boolean).join(", ")) || "the origin gives no mark of it"],
      ["Digest", shown(d.digest) || "none is known"],
      ["Changed", d.changes ? `${plural(d.changes, "time", "times")} in this run` : ""],
      ["Open by", plural(d.readers, "reader", "readers")],
      ["URLs expire", d.expires ? clock(d.expires) : ""],
      ["A cell is", d.map.length ? `${bytes(d.cell_bytes)}, ${plural(d.cell_bytes / d.block_bytes, "block", "blocks")}` : ""],
    ]));
    $("mirrors").replaceChildren(...d.mirrors.map(m => element("li", "", element("bdi", "", shown(m.url)),
      element("span", m.error ? "bad" : "", m.error ? shown(m.error) : m.flights ? `${plural(m.flights, "request", "requests")} now` : m.bytes_per_second ? `${bytes(m.bytes_per_second)}/s` : ""))));
  }

  drawMap(d) {
    const cells = d.map.reduce((n, run) => n + run.count, 0);
    const columns = this.columns, rows = Math.max(1, Math.ceil(cells / columns));
    $("map").style.height = `${rows * (side + gap)}px`;
    $("map").hidden = cells === 0;
    const { c } = fit($("map"));
    const colors = { present: color("--present"), partial: color("--present"), "in-flight": color("--flight"), awaited: color("--awaited"), missing: color("--missing"), evicted: color("--evicted") };
    let i = 0;
    for (const run of d.map) {
      for (let k = 0; k < run.count; k++, i++) {
        const x = i % columns * (side + gap), y = Math.floor(i / columns) * (side + gap);
        drawCell(c, x, y, run, colors);
      }
    }
    const of = state => d.map.reduce((n, run) => n + (run.state === state ? run.count : 0), 0);
    $("legend-evicted").hidden = of("evicted") === 0;
    $("map").dataset.at = Date.now();
    $("map").dataset.cells = JSON.stringify(d.map);
    $("map").setAttribute("aria-label", `Map of the file, ${count(cells)} cells: ${count(of("present"))} present, ${count(of("partial"))} in part, ${count(of("in-flight"))} in flight, ${count(of("evicted"))} evicted, ${count(of("awaited"))} awaited by a reader, ${count(of("missing"))} missing`);
  }

  // point tells of the cell below the pointer.
  point(e) {
    const d = this.detail;
    if (!d) return;
    const at = Math.floor(e.offsetY / (side + gap)) * this.columns + Math.floor(e.offsetX / (side + gap));
    let i = 0;
    for (const run of d.map) {
      if (at < (i += run.count)) {
        const from = at * d.cell_bytes;
        set($("map-at"), `${bytes(from)} to ${bytes(Math.min(from + d.cell_bytes, d.size))}: ${run.state.replace("-", " ")}`);
        return;
      }
    }
    set($("map-at"), "");
  }
}

// drawCell draws a cell; what is present of it is filled from below.
function drawCell(c, x, y, run, colors) {
  c.fillStyle = colors[run.state === "partial" ? "missing" : run.state];
  if (run.state === "evicted") {
    c.strokeStyle = colors.evicted;
    c.lineWidth = 1.5;
    c.strokeRect(x + .75, y + .75, side - 1.5, side - 1.5);
  } else {
    c.fillRect(x, y, side, side);
  }
  if (run.state === "awaited") { // told by its shape, too
    c.clearRect(x + 3, y + 3, side - 6, side - 6);
  } else if (run.tenths > 0 && run.tenths < 10) {
    const h = Math.max(1, Math.round(side * run.tenths / 10));
    c.fillStyle = colors.present;
    c.fillRect(x, y + side - h, side, h);
  }
}
