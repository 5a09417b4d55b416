// The page: it follows a stream of events, one of which comes for each directory each
// second, and shows the one that is chosen. Whatever comes from lists and origins is put
// into the page as text, never as HTML.

import { bytes, clock, count, duration, plural, rate, shown } from "./format.js";
import { $, chosen, element, facts, notice, order, set } from "./dom.js";
import { drawChart } from "./chart.js";
import { Files } from "./files.js";
import { FileView } from "./file.js";

const sources = []; // { name, past, look }

const files = new Files(name => fileView.open(name));
const fileView = new FileView();

// The stream. It is closed while nobody sees the page: a browser has few connections to
// one server.
let stream;
function follow() {
  stream?.close();
  if (document.hidden) return;
  stream = new EventSource("events");
  stream.addEventListener("source", e => {
    const [i, greeting] = JSON.parse(e.data);
    sources[i] = { ...sources[i], name: greeting.name, past: greeting.past };
    showSources();
  });
  stream.addEventListener("look", e => {
    const [i, look] = JSON.parse(e.data);
    const s = sources[i];
    s.look = look;
    s.past.push({ at: Date.parse(look.at), bytes_per_second: look.bytes_per_second });
    if (s.past.length > 600) s.past.shift();
    s.lost = "";
    if (i === chosen.source) show();
  });
  stream.onerror = () => {
    lost(stream.readyState === EventSource.CLOSED
      ? "This page has expired. Open the address that “dlfs web” printed last."
      : "“dlfs web” does not answer. This page tries again.");
  };
}
document.addEventListener("visibilitychange", follow);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => sources[chosen.source]?.look && show());

function lost(why) {
  for (const s of sources) s.lost = why;
  if (sources.length) show();
  else notice(why);
}

function showSources() {
  const nav = $("sources");
  nav.hidden = sources.length < 2;
  nav.replaceChildren(...sources.map((s, i) => {
    const b = element("button", "", shown(s.name));
    b.setAttribute("aria-pressed", i === chosen.source);
    b.onclick = () => choose(i);
    return b;
  }));
  set($("dir"), shown(sources[chosen.source]?.name ?? ""));
}

function choose(i) {
  chosen.source = i;
  showSources();
  files.reset();
  show();
}

let told = false; // the notice is of trouble

// show shows the chosen directory as it was last looked at.
function show() {
  const { look, past, lost, name } = sources[chosen.source];
  const s = look?.summary;
  const trouble = lost || look?.error || "";
  showPill(s, trouble);
  if (!s) {
    if (trouble) notice(trouble);
    return;
  }
  if (trouble || told) notice(trouble); // what a button has said stays
  told = Boolean(trouble);
  showProgress(s, look, name);
  showEnd(s);
  showButtons(s, trouble);
  showWaits(s);
  showDisk(s);
  showHosts(s);
  files.show(s);
  fileView.live = s.pid !== 0 && !trouble;
  drawChart($("chart"), past);
}

function showPill(s, trouble) {
  const complete = s && s.files_complete === s.files_total;
  const [text, kind] = trouble ? ["Lost", "bad"] : !s ? ["", ""] : complete ? ["Everything is here", ""]
    : s.pid === 0 ? ["Not running", "quietly"] : s.disk_full ? ["Disk is full", "bad"]
    : s.paused ? ["Paused", "quietly"] : s.active.length ? ["Fetching", ""] : ["Waiting", "quietly"];
  $("pill").className = `pill ${kind}`;
  set($("pill"), text);
}

// progress is the part of all bytes that is present, as far as can be told: the sizes that
// are not known are taken for as large as the others.
function progress(s) {
  if (s.files_total === s.files_complete) return { percent: 100, exact: true };
  const all = s.files_known ? s.total_bytes / s.files_known * s.files_total : 0;
  const exact = s.files_known === s.files_total;
  return { percent: all ? Math.min(99.9, s.present_bytes / all * 100) : 0, exact };
}

function showProgress(s, look, name) {
  const { percent, exact } = progress(s);
  const about = exact ? "" : "about ", text = `${Math.floor(percent)} %`;
  set($("about"), about);
  set($("percent"), text);
  const more = exact ? "" : "+";
  set($("amount"), `${bytes(s.present_bytes)} of ${bytes(s.total_bytes)}${more} · ${count(s.files_complete)} of ${plural(s.files_total, "file", "files")}`);
  set($("rate"), s.pid === 0 ? "–" : `${bytes(look.bytes_per_second)}/s`);
  set($("eta"), percent === 100 ? "complete" : look.eta_seconds ? `${about}${duration(look.eta_seconds)} left` : s.paused ? "paused" : " ");
  $("bar").setAttribute("aria-valuenow", Math.floor(percent));
  $("bar").setAttribute("aria-valuetext", about + text);
  $("bar").firstElementChild.style.width = `${percent}%`;
  document.title = `${Math.floor(percent)} % · ${shown(name).split("/").pop()} · dlfs`;
}

// showEnd hides what is of a process while none is there, and tells what to do next.
function showEnd(s) {
  const ended = s.pid === 0;
  for (const id of ["actions", "waits-card", "hosts-card"]) $(id).hidden = ended;
  $("disk-card").classList.toggle("wide", ended);
  $("next").hidden = !ended;
  set($("next"), !ended ? "" : s.files_complete === s.files_total ? "The directory holds the files. It needs dlfs no longer."
    : "No dlfs is running here. Run “dlfs mount” or “dlfs fetch” with the list again to go on.");
}

function showButtons(s, trouble) {
  const dead = s.pid === 0 || Boolean(trouble);
  const p = $("pause");
  set(p, s.paused ? "Resume" : "Pause");
  p.classList.toggle("main", s.paused);
  for (const b of $("actions").querySelectorAll("button, input")) b.disabled = dead || b.ariaBusy === "true";
  const failed = s.files_failed;
  $("retry").hidden = failed === 0;
  set($("retry"), `Retry ${plural(failed, "failed file", "failed files")}`);
  const limit = $("limit");
  if (document.activeElement !== limit) limit.value = s.limit_bytes_per_second ? bytes(s.limit_bytes_per_second) : "";
}

function showWaits(s) {
  const list = $("waits"), waits = s.readers_waiting;
  $("waits-none").hidden = waits.length > 0;
  while (list.children.length > waits.length) list.lastElementChild.remove();
  waits.forEach((w, i) => {
    const item = list.children[i] ?? list.appendChild(waitItem());
    const time = duration(Math.max(0, (Date.now() - Date.parse(w.since)) / 1000));
    item.firstChild.dataset.name = w.name;
    set(item.firstChild.firstChild, shown(w.name));
    set(item.lastChild, `${plural(w.readers, "reader", "readers")}, ${time}, at ${bytes(w.offset)}`);
  });
  const more = s.readers_waiting_total - waits.length;
  $("waits-more").hidden = more <= 0;
  set($("waits-more"), `and ${plural(more, "file", "files")} more`);
}

// waitItem is an item of the list of readers. It stays while its text changes: a button
// that another one takes the place of loses the press and the focus.
function waitItem() {
  const open = element("button", "link", element("bdi", ""));
  open.onclick = () => fileView.open(open.dataset.name);
  return element("li", "", open, element("span", ""));
}

function showDisk(s) {
  const runs = s.pid !== 0;
  $("disk").replaceChildren(...facts([
    ["Free", s.disk_free_bytes >= 0 ? bytes(s.disk_free_bytes) : runs ? "not known" : ""],
    ["Missing", s.total_bytes > s.present_bytes ? bytes(s.total_bytes - s.present_bytes) : "nothing"],
    ["Problem", shown(s.disk_full), "bad"],
    ["Bound", s.bound ? `${bytes(s.bound.used_bytes)} of at most ${bytes(s.bound.max_bytes)}${s.bound.prefetch_stopped ? "; prefetch has stopped" : ""}` : ""],
    ["Evicted", s.bound?.evicted_bytes ? `${bytes(s.bound.evicted_bytes)}, of which ${bytes(s.bound.refetched_bytes)} came again` : ""],
    ["URLs", s.expires ? `those of ${plural(s.files_expiring, "file", "files")} expire from ${clock(s.expires)} on` : runs ? "no expiry is known" : "", s.expires && Date.parse(s.expires) < Date.now() ? "bad" : ""],
    ["Received", s.peers_total ? `${bytes(s.origin_bytes)} from origins, ${bytes(s.peer_bytes)} from other machines` : runs ? bytes(s.origin_bytes) : ""],
    ["Machines", s.peers_total ? machines(s) : ""],
    ["Last run", s.last_run ? `ended ${clock(s.last_run.ended)}${s.last_run.why ? `: ${shown(s.last_run.why)}` : ""}` : "", s.last_run?.why ? "bad" : ""],
    ["Process", s.pid ? `${s.pid}, ${s.ends ? "fetch" : "mount"}, ${s.version}` : "none"],
  ]));
}

// machines tells of the other machines that share the list.
function machines(s) {
  const of = state => s.peers.filter(p => p.state === state).length;
  const sent = s.served_bytes ? `; ${bytes(s.served_bytes)} were sent to them` : "";
  return `${plural(s.peers_total, "other", "others")}: ${of("up")} up, ${of("out")} do not answer, ${of("done")} done${sent}`;
}

function showHosts(s) {
  $("hosts-none").hidden = s.hosts.length > 0;
  $("hosts").closest("table").hidden = s.hosts.length === 0;
  $("hosts").replaceChildren(...s.hosts.map(h => {
    const pause = s.hosts_waiting.find(p => p.host === h.host);
    const links = element("span", "links");
    for (const [n, kind] of [[h.readers, "reader"], [h.read_ahead, "ahead"], [h.prefetch, "prefetch"], [h.resting, "rest"]]) {
      for (let i = 0; i < Math.min(n, 16); i++) links.append(element("i", kind));
    }
    const told = [[h.readers, "for readers"], [h.read_ahead, "ahead"], [h.prefetch, "prefetch"], [h.resting, "resting"]]
      .filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`).join(", ") || "none";
    const state = pause ? `left alone until ${new Date(pause.until).toLocaleTimeString()}, as it asked` : h.stuck ? "sends nothing" : "";
    return element("tr", "", element("td", "", element("bdi", "", shown(h.host))), element("td", "", links, told),
      element("td", "number", h.bytes_per_second ? `${bytes(h.bytes_per_second)}/s` : "–"),
      element("td", "number", h.first_byte_seconds ? `${Math.round(h.first_byte_seconds * 1000)} ms` : "–"),
      element("td", state ? "bad" : "", state || (h.first_byte_seconds ? "answers" : "")));
  }));
}

$("pause").onclick = e => order(sources[chosen.source].look.summary.paused ? "resume" : "pause", {}, e.target);
$("reload").onclick = async e => {
  const text = await order("reload", {}, e.target);
  if (text !== undefined) notice(difference(JSON.parse(text)), true);
  files.reset();
};
$("retry").onclick = async e => {
  const n = await order("retry", {}, e.target);
  if (n !== undefined) notice(`${plural(Number(n), "file is", "files are")} tried again.`, true);
};
$("limit-form").onsubmit = async e => {
  e.preventDefault();
  const n = rate($("limit").value);
  if (n === null) {
    notice(`“${$("limit").value}” is no rate. Write one such as 500K, 10M or none.`);
    return;
  }
  $("limit").blur();
  if (await order("limit", { rate: n }) !== undefined) notice(n ? `At most ${bytes(n)} a second.` : "There is no limit.", true);
};

// difference tells how a list differs from the one before.
function difference(d) {
  const parts = Object.entries(d).filter(([, names]) => Array.isArray(names) && names.length)
    .map(([kind, names]) => `${count(names.length)} ${kind.replaceAll("_", " ")}`);
  return parts.length ? `The list was read again: ${parts.join(", ")}.` : "The list was read again; it is the same.";
}

document.addEventListener("keydown", e => {
  if (e.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName) && !document.querySelector("dialog[open]")) {
    e.preventDefault();
    $("search").focus();
  }
});

history.replaceState(null, "", location.pathname); // without the token
follow();
