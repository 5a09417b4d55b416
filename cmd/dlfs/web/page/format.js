// What people read: sizes, rates, times, and names that may hold anything.

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

export function bytes(n) {
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export const count = n => n.toLocaleString("en");
export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

export function duration(seconds) {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.round(s % 3600 / 60)} min`;
  return `${Math.round(s / 86400)} days`;
}

export const clock = date => new Date(date).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

// shown makes characters visible that have no shape or that reorder a line.
export function shown(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\uFFFD");
}

// share is how much of a file is present, in percent and never 100 before it is all.
export function share(present, size) {
  if (size < 0) return null;
  if (present >= size) return 100;
  return Math.min(99, Math.floor(present / size * 100));
}

// rate reads what people write, such as 500K or 1.5 MiB/s; null if it is no rate.
export function rate(text) {
  const t = text.trim().toLowerCase();
  if (t === "" || t === "none" || t === "off") return 0;
  const m = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?(?:\/s)?$/.exec(t);
  if (!m) return null;
  const n = Math.floor(Number(m[1]) * 1024 ** " kmgt".indexOf(m[2] || " "));
  return Number.isSafeInteger(n) ? n : null;
}
