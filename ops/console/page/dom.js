// Elements, numbers and times. Text is only ever set as text: nothing that a cloud says becomes markup.

export const $ = (id) => document.getElementById(id);

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function s(tag, attributes = {}, text = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

export const number = (value, digits = 1) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const most = Math.abs(value) >= 100 ? 0 : digits;
  return new Intl.NumberFormat("en", { maximumFractionDigits: most }).format(value);
};

export const percent = (value) => new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(value);

export const clock = (seconds, withSeconds = false) => new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}),
}).format(new Date(seconds * 1000));

export function when(seconds) {
  if (!seconds) return "–";
  const sameDay = new Date(seconds * 1000).toDateString() === new Date().toDateString();
  if (sameDay) return clock(seconds, true);
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(new Date(seconds * 1000));
}

export const time = (seconds) => h("time", { datetime: new Date(seconds * 1000).toISOString(), title: new Date(seconds * 1000).toString() }, when(seconds));

export function lasted(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

const TONES = {
  InService: "good", Completed: "good", OK: "good", Successful: "good", Active: "good", READY: "good",
  Failed: "bad", ALARM: "bad", Gone: "bad", OutOfService: "bad", UpdateRollbackFailed: "bad", FAILED: "bad", Unfulfilled: "bad",
  Stopped: "quiet", INSUFFICIENT_DATA: "quiet", "Not scaled": "quiet", Overridden: "quiet",
};
const WORDS = { INSUFFICIENT_DATA: "no data", ALARM: "in alarm", OK: "ok" };

export const badge = (state) => h("span", { class: `badge ${TONES[state] ?? "busy"}` }, WORDS[state] ?? state);

export function told(error) {
  return [h("strong", {}, error.rule), error.received ? h("span", {}, " ", error.received) : null, error.remedy ? h("em", {}, " ", error.remedy) : null];
}
