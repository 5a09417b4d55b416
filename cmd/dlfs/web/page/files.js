// The table of files. It holds the rows that are seen and some around them, and asks for
// others when they come into sight, so that a list may have a million files.

import { $, ask, element, set } from "./dom.js";
import { bytes, count, plural, share, shown } from "./format.js";

const pageSize = 100;
const pagesKept = 12;
const tallest = 8e6; // pixels; browsers know no taller element than some 17 million
const refreshEvery = 2000; // milliseconds
const states = [["", "All"], ["fetching", "Fetching"], ["waiting", "Waiting"], ["unknown", "Unknown"], ["complete", "Complete"], ["trouble", "Failed"]];

export class Files {
  constructor(open) {
    this.open = open;
    this.query = { q: "", state: "", sort: "", desc: "" };
    this.top = 0; // the row at the upper edge, with its fraction
    this.active = 0;
    this.rows = [];
    this.ended = false; // no process is there
    this.view = $("view");
    this.forget();
    this.view.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.view.addEventListener("wheel", e => this.wheel(e), { passive: false });
    $("grid").addEventListener("keydown", e => this.key(e));
    let typing;
    $("search").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.change({ q: $("search").value }), 200);
    });
    for (const b of document.querySelectorAll("[data-sort]")) b.onclick = () => this.sort(b.dataset.sort);
    new ResizeObserver(() => this.layout()).observe(this.view);
    setInterval(() => this.refresh(), refreshEvery);
  }

  // forget drops what is known of the selection.
  forget() {
    this.pages = new Map(); // by number, an array of rows
    this.asked = new Map(); // by number, when
    this.total = -1;
    this.version = (this.version ?? 0) + 1;
  }

  reset() {
    this.forget();
    this.goTo(0);
    this.active = 0;
    this.layout();
  }

  change(query) {
    Object.assign(this.query, query);
    this.reset();
    if (this.summary) this.show(this.summary);
  }

  sort(by) {
    const { sort, desc } = this.query;
    const next = sort !== by ? [by, ""] : desc ? ["", ""] : [by, "1"];
    for (const b of document.querySelectorAll("[data-sort]")) {
      const of = b.parentElement;
      if (b.dataset.sort === next[0]) of.setAttribute("aria-sort", next[1] ? "descending" : "ascending");
      else of.removeAttribute("aria-sort");
    }
    this.change({ sort: next[0], desc: next[1] });
  }

  // show takes the counts of a summary.
  show(summary) {
    const first = !this.summary;
    this.summary = summary;
    const n = summary.files_by_state;
    const counts = { "": summary.files_total, trouble: summary.files_failed };
    if (!$("states").childElementCount) {
      for (const [state, text] of states) {
        const b = element("button", "", text, element("small", ""));
        b.onclick = () => this.change({ state });
        b.dataset.state = state;
        $("states").append(b);
      }
    }
    for (const b of $("states").children) {
      const have = counts[b.dataset.state] ?? n[b.dataset.state] ?? 0;
      b.setAttribute("aria-pressed", b.dataset.state === this.query.state);
      b.hidden = have === 0 && b.dataset.state !== "" && b.dataset.state !== this.query.state;
      set(b.lastElementChild, count(have));
    }
    const ended = summary.pid === 0;
    for (const id of ["grid", "grid-help", "search"]) $(id).hidden = ended;
    if (ended && !this.ended) this.stopped();
    if (!ended && this.ended) this.reset(); // it runs again
    this.ended = ended;
    if (first) this.layout();
  }

  // stopped tells that no process answers for the files any more.
  stopped() {
    this.forget();
    this.total = 0;
    this.layout();
    set($("grid-none"), "No dlfs is running, so its files cannot be asked for. “dlfs status --files” lists them.");
  }

  get height() { return parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")); }
  get seen() { return this.view.clientHeight / this.height; }
  get lowest() { return Math.max(0, this.total - this.seen); }
  get scaled() { return this.total * this.height > tallest; }

  // scrolled follows the scroll bar, unless goTo has moved it.
  scrolled() {
    if (Math.abs(this.view.scrollTop - this.moved) < 1) return;
    this.moved = -1;
    const room = this.view.scrollHeight - this.view.clientHeight;
    this.top = this.scaled ? this.view.scrollTop / Math.max(1, room) * this.lowest : this.view.scrollTop / this.height;
    this.draw();
  }

  // wheel moves row by row where the scroll bar is too coarse for that.
  wheel(e) {
    if (!this.scaled || e.ctrlKey || !e.deltaY) return;
    e.preventDefault();
    this.goTo(this.top + (e.deltaMode === 1 ? e.deltaY * 2 : e.deltaY / this.height));
  }

  // goTo moves a row to the upper edge.
  goTo(row) {
    this.top = Math.min(Math.max(0, row), Math.max(0, this.lowest));
    const room = this.view.scrollHeight - this.view.clientHeight;
    this.view.scrollTop = this.scaled ? this.top / Math.max(1, this.lowest) * room : this.top * this.height;
    this.moved = this.view.scrollTop;
    this.draw();
  }

  key(e) {
    if (e.target !== $("grid")) return;
    const page = Math.max(1, Math.floor(this.seen) - 1);
    const to = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page,
      Home: 0, End: this.total - 1 }[e.key];
    if (to !== undefined) {
      e.preventDefault();
      this.active = Math.min(Math.max(0, to), Math.max(0, this.total - 1));
      if (this.active < this.top) this.goTo(this.active);
      else if (this.active + 1 > this.top + this.seen) this.goTo(this.active + 1 - this.seen);
      else this.draw();
    } else if (e.key === "Enter" || e.key === " ") {
      e.preventDefault();
      const row = this.rowAt(this.active);
      if (row) this.open(row.name);
    }
  }

  // layout makes as many rows as are seen.
  layout() {
    const n = Math.ceil(this.seen) + 1;
    while (this.rows.length < n) this.rows.push(this.makeRow());
    while (this.rows.length > n) this.rows.pop().remove();
    $("spacer").style.height = `${Math.min(Math.max(0, this.total) * this.height, tallest)}px`;
    this.goTo(this.top);
  }

  makeRow() {
    const part = element("span", "part", element("i", "", element("b", "")), element("span", ""));
    const row = element("div", "row", element("span", "name"), element("span", "state"), part, element("span", "number"));
    row.setAttribute("role", "row");
    for (const cell of row.children) cell.setAttribute("role", "gridcell");
    row.addEventListener("click", () => {
      this.active = row.index;
      this.draw();
      const of = this.rowAt(row.index);
      if (of) this.open(of.name);
    });
    $("layer").append(row);
    return row;
  }

  rowAt(i) { return this.pages.get(Math.floor(i / pageSize))?.[i % pageSize]; }

  // draw shows the rows that are seen, and asks for those that are not there.
  draw() {
    const first = Math.floor(this.top);
    for (const e of this.rows) e.hidden = true;
    for (let i = first; i < Math.min(first + this.rows.length, Math.max(0, this.total)); i++) {
      this.drawRow(this.rows[i % this.rows.length], i);
    }
    this.want(Math.floor(first / pageSize));
    this.want(Math.floor((first + this.seen) / pageSize));
    $("grid").setAttribute("aria-rowcount", this.total + 1);
    $("grid").setAttribute("aria-activedescendant", `row-${this.active}`);
    const none = this.total === 0;
    $("grid-none").hidden = !none;
    if (none && !this.ended) set($("grid-none"), "No file is like that.");
    set($("grid-count"), this.total < 0 ? "" : plural(this.total, "file", "files"));
  }

  drawRow(e, i) {
    const f = this.rowAt(i);
    e.hidden = false;
    e.index = i;
    e.id = `row-${i}`;
    e.style.top = `${(i - this.top) * this.height}px`;
    e.setAttribute("aria-rowindex", i + 2);
    e.classList.toggle("active", i === this.active);
    const [name, state, part, size] = e.children;
    const percent = f ? share(f.present, f.size) : null;
    set(name, f ? shown(f.name) : "…");
    name.title = f ? shown(f.error ? `${f.name}: ${f.error}` : f.name) : "";
    state.className = `state ${f ? f.state : ""}`;
    set(state, f ? f.state.replace("-", " ") : "");
    part.firstElementChild.firstElementChild.style.width = `${percent ?? 0}%`;
    set(part.lastElementChild, percent === null ? "" : `${percent} %`);
    set(size, !f ? "" : f.size < 0 ? "?" : bytes(f.size));
  }

  // want asks for a page unless it is there or was just asked for.
  want(number) {
    if (number < 0 || !this.summary || this.ended || this.pages.has(number) || this.asked.has(number)) return;
    if (this.total >= 0 && number * pageSize >= this.total && number > 0) return;
    this.load(number);
  }

  // refresh asks again for the pages that are seen.
  refresh() {
    if (document.hidden || !this.summary || this.ended) return;
    const first = Math.floor(this.top);
    for (const number of new Set([Math.floor(first / pageSize), Math.floor(Math.max(first, first + this.seen - 1) / pageSize)])) {
      if (!this.asked.has(number)) this.load(number);
    }
  }

  async load(number) {
    const version = this.version;
    this.asked.set(number, true);
    try {
      const { q, state, sort, desc } = this.query;
      const got = await ask("files", { q, state, sort, desc, offset: number * pageSize, limit: pageSize });
      if (version !== this.version) return;
      const changed = this.total !== got.total;
      this.total = got.total;
      this.pages.delete(number);
      this.pages.set(number, got.files); // the newest last
      for (const old of this.pages.keys()) {
        if (this.pages.size <= pagesKept) break;
        this.pages.delete(old);
      }
      if (changed) this.layout();
      else this.draw();
    } catch (err) {
      if (version === this.version && this.total < 0) {
        $("grid-none").hidden = false;
        set($("grid-none"), shown(err.message));
      }
    } finally {
      if (version === this.version) setTimeout(() => this.asked.delete(number), 200);
    }
  }
}
