// What all parts of the page use: elements, and questions to the server.

import { shown } from "./format.js";

export const $ = id => document.getElementById(id);

// chosen is the number of the directory that is shown.
export const chosen = { source: 0 };

// element makes an element with children, which are elements or text.
export function element(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

// set changes the text of an element if it is another one, so that a screen reader says it
// once.
export function set(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// url is the address of a question about the chosen directory.
function url(path, parameters = {}) {
  return `${path}?${new URLSearchParams({ source: chosen.source, ...parameters })}`;
}

// ask returns what is asked for, as JSON.
export async function ask(path, parameters) {
  const resp = await fetch(url(path, parameters));
  if (!resp.ok) throw new Error((await resp.text()).trim());
  return resp.json();
}

let noticeTimer;

// notice says something at the top of the page; what is good goes away by itself.
export function notice(text, good) {
  clearTimeout(noticeTimer);
  const n = $("notice");
  n.hidden = !text;
  n.classList.toggle("good", Boolean(good));
  set(n, shown(text));
  if (good) noticeTimer = setTimeout(() => { n.hidden = true; }, 6000);
}

// order has dlfs do something, and returns the answer as text; undefined if it failed,
// which is said.
export async function order(path, parameters, button) {
  if (button) [button.disabled, button.ariaBusy] = [true, "true"];
  try {
    const resp = await fetch(url(path, parameters), { method: "POST" });
    const text = (await resp.text()).trim();
    if (!resp.ok) throw new Error(text);
    notice("");
    return text;
  } catch (err) {
    notice(err.message);
  } finally {
    if (button) [button.disabled, button.ariaBusy] = [false, null];
  }
}

// facts are the children of a dl.
export function facts(pairs) {
  return pairs.flatMap(([term, text, kind]) => text ? [element("dt", "", term), element("dd", kind ?? "", text)] : []);
}
