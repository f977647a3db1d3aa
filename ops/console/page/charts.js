// Small charts in SVG: a line or two over time or over a count, with limits across.

import { clock, h, number, s } from "./dom.js";

const HEIGHT = 148;
const EDGE = { top: 10, right: 10, bottom: 22, left: 38 };

export function nice(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= most * 1.0001) ?? 10 * power;
}

/** A metric's points with what AWS leaves out put in: no requests, no point. */
export function filled(points, start, end, period) {
  const known = new Map(points.map(([at, value]) => [at, value]));
  const all = [];
  for (let at = start; at < end; at += period) all.push([at, known.get(at) ?? 0]);
  return all;
}

/**
 * A figure that redraws itself when it is given other data or another width.
 * spec: {title, unit, series: [{name, points, kind, step, area}], limits: [{value, name}], start, end, reading, gap, axis}
 */
export class Chart {
  constructor(title) {
    this.reading = h("span", { class: "reading" });
    this.legend = h("p", { class: "legend" });
    this.hold = h("div", { class: "plot" });
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), this.reading), this.hold, this.legend);
    this.title = title;
    this.spec = null;
    new ResizeObserver(() => this.draw()).observe(this.hold);
    this.hold.addEventListener("pointermove", (event) => this.point(event));
    this.hold.addEventListener("pointerleave", () => this.rest());
  }

  show(spec) {
    this.spec = spec;
    const kinds = [...spec.series, ...(spec.limits ?? [])];
    this.legend.replaceChildren(...(kinds.length > 1 ? kinds : []).map((each) =>
      h("span", {}, h("i", { class: `key ${each.kind ?? "limit"}`, "aria-hidden": "true" }), each.name)));
    this.rest();
    this.draw();
  }

  rest() {
    if (!this.spec) return;
    this.reading.textContent = this.spec.reading ?? "";
    this.hold.querySelector(".cursor")?.setAttribute("visibility", "hidden");
  }

  draw() {
    const width = this.hold.clientWidth;
    if (!this.spec || width < 60) return;
    const { series, limits = [], start, end, unit = "", empty = "No data in this time." } = this.spec;
    const values = series.flatMap((each) => each.points.map(([, value]) => value));
    if (!values.length) {
      this.hold.replaceChildren(h("p", { class: "hint empty" }, empty));
      this.places = null;
      return;
    }
    const top = Math.max(...values, 0), shown = limits.filter(({ value, far }) => !far || value <= 3 * top);
    const highest = Math.max(top, ...shown.map(({ value }) => value));
    const most = this.spec.most ?? (this.spec.whole ? 2 * Math.ceil((highest + 1) / 2) : nice(highest));
    const x = (at) => EDGE.left + (width - EDGE.left - EDGE.right) * (end > start ? (at - start) / (end - start) : 0.5);
    const y = (value) => EDGE.top + (HEIGHT - EDGE.top - EDGE.bottom) * (1 - value / most);
    const svg = s("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": this.words(values) });
    for (const value of [0, most / 2, most]) {
      svg.append(s("line", { class: value ? "grid" : "base", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }));
      svg.append(s("text", { x: EDGE.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, most < 1 ? 2 : 1)));
    }
    const name = this.spec.axis ?? ((at) => clock(at));
    for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
      const at = start + (end - start) * share;
      if (end > start || share === 0) svg.append(s("text", { x: x(at), y: HEIGHT - 5, "text-anchor": end > start ? anchor : "middle" }, name(at)));
    }
    for (const { value, name: called } of shown) {
      svg.append(s("line", { class: "limit", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }, null));
      const low = y(value) < EDGE.top + 12;
      svg.append(s("text", { class: "limit-name", x: width - EDGE.right, y: y(value) + (low ? 13 : -4), "text-anchor": "end" }, called));
    }
    for (const each of series) this.line(svg, each, x, y);
    svg.append(s("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" }));
    this.hold.replaceChildren(svg);
    this.places = { x, unit };
  }

  line(svg, { points, kind, step, area }, x, y) {
    const pieces = [[]];
    points.forEach(([at, value], index) => {
      if (index && this.spec.gap && at - points[index - 1][0] > this.spec.gap) pieces.push([]);
      pieces.at(-1).push([x(at), y(value)]);
    });
    for (const piece of pieces.filter((each) => each.length)) {
      const path = piece.map(([px, py], index) => (index ? (step ? `H${px.toFixed(1)}V${py.toFixed(1)}` : `L${px.toFixed(1)} ${py.toFixed(1)}`) : `M${px.toFixed(1)} ${py.toFixed(1)}`)).join("");
      if (area) svg.append(s("path", { class: `area ${kind}`, d: `${path}V${y(0)}H${piece[0][0].toFixed(1)}Z` }));
      if (piece.length === 1 || this.spec.dots) piece.forEach(([px, py]) => svg.append(s("circle", { class: `point ${kind}`, cx: px, cy: py, r: 2.6 })));
      svg.append(s("path", { class: `line ${kind}`, d: path }));
    }
    const last = pieces.at(-1).at(-1);
    if (last) svg.append(s("circle", { class: `point ${kind}`, cx: last[0], cy: last[1], r: 3.2 }));
  }

  /** What a reader of the screen hears. */
  words(values) {
    const { series, reading, limits = [] } = this.spec;
    const named = limits.map(({ name }) => name).join(", ");
    return `${this.title}: now ${reading || number(series[0].points.at(-1)?.[1])}, highest ${number(Math.max(...values))}${named ? `; ${named}` : ""}`;
  }

  point(event) {
    if (!this.places || !this.spec.series[0]) return;
    const place = event.clientX - this.hold.getBoundingClientRect().left;
    const close = (points) => points.reduce((best, each) => (Math.abs(this.places.x(each[0]) - place) < Math.abs(this.places.x(best[0]) - place) ? each : best));
    const longest = this.spec.series.reduce((best, each) => (each.points.length > best.points.length ? each : best));
    if (!longest.points.length) return;
    const at = close(longest.points)[0];
    const cursor = this.hold.querySelector(".cursor");
    cursor.setAttribute("x1", this.places.x(at));
    cursor.setAttribute("x2", this.places.x(at));
    cursor.setAttribute("visibility", "visible");
    const read = this.spec.series.filter((each) => each.points.length).map((each) => {
      const value = each.step ? (each.points.findLast(([moment]) => moment <= at) ?? each.points[0])[1] : close(each.points)[1];
      return `${this.spec.series.length > 1 ? `${each.name} ` : ""}${number(value, this.spec.digits ?? 1)}${this.places.unit}`;
    });
    this.reading.textContent = `${(this.spec.axis ?? ((moment) => clock(moment, true)))(at)} · ${read.join(" · ")}`;
  }
}
