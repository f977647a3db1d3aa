// What each panel shows of what the cloud says.

import { Chart, filled } from "./charts.js";
import { $, badge, facts, h, lasted, number, percent, time } from "./dom.js";

const panel = (name) => document.querySelector(`[data-panel="${name}"]`);
const hint = (text) => h("p", { class: "hint" }, text);
const nothing = (name, text) => panel(name).replaceChildren(hint(text));

export const known = { endpoint: null, scaling: null, traffic: null, function: null };

const TITLES = {
  traffic: {
    invocations: "Requests a minute", instances: "Instances", latency: "Model latency",
    per_instance: "Per instance and minute", concurrent: "Requests at once", errors: "Errors a minute",
  },
  "function-charts": { calls: "Calls a minute", function_concurrent: "Calls at once", function_errors: "Failed a minute" },
};
const charts = {};

/** All charts of a panel are there as soon as one is, each in its place. */
function chart(name, home) {
  if (!charts[name]) {
    for (const [each, title] of Object.entries(TITLES[home])) charts[each] = new Chart(title);
    panel(home).replaceChildren(...Object.keys(TITLES[home]).map((each) => charts[each].element));
  }
  return charts[name];
}

// -- the endpoint --------------------------------------------------------------------------------

export function endpoint(found) {
  known.endpoint = found;
  pulse(found);
  if (!found) return nothing("endpoint", "No endpoint yet: ./inv train, then ./inv apply.");
  const accuracy = found.model?.metrics?.accuracy;
  const config = found.rolled_back
    ? h("span", { class: "bad-text" }, `${found.config}: the update to ${found.planned_config} was rolled back`)
    : found.config;
  panel("endpoint").replaceChildren(
    h("p", { class: "headline" }, h("strong", {}, found.name), " ", badge(found.status), found.reason ? h("span", { class: "bad-text" }, ` ${found.reason}`) : null),
    instances(found),
    facts([
      ["Model", found.model && h("span", {}, found.model.name, accuracy ? h("span", { class: "muted" }, ` · ${percent(accuracy)} on test photos`) : null)],
      ["Configuration", config],
      ["Instance type", found.types?.length ? found.types.join(", ") : null],
      ["Variants", found.variants?.length > 1 ? found.variants.map((each) => `${each.name} ${number(each.weight)}`).join(", ") : null],
      ["Last changed", found.modified ? time(found.modified) : null],
    ]),
  );
  counts();
}

function pulse(found) {
  const tone = !found ? "quiet" : found.status === "InService" ? (found.rolled_back ? "bad" : "good") : /Fail|Out|Gone/.test(found.status) ? "bad" : "busy";
  $("pulse").className = `pulse ${tone}`;
  $("pulse-text").textContent = !found ? "Nothing is deployed" : `${found.name} is ${found.status === "InService" ? "in service" : found.status}`;
}

function instances({ variants }) {
  const now = sum(variants, "current"), wanted = sum(variants, "desired"), scale = known.scaling;
  const most = Math.max(now, wanted, scale?.max ?? 0), shown = Math.min(most, 40);
  const boxes = Array.from({ length: shown }, (_, index) => {
    const state = index < now ? (index < wanted ? "up" : "leaving") : index < wanted ? "coming" : "possible";
    return h("span", { class: `box ${state}${scale && index < scale.min ? " kept" : ""}` });
  });
  const change = wanted > now ? `, ${wanted - now} more on the way` : wanted < now ? `, ${now - wanted} about to go` : "";
  const limits = scale ? ` · ${scale.min} to ${scale.max} allowed` : "";
  return h("div", { class: "fleet" },
    h("div", { class: "boxes", "aria-hidden": "true" }, boxes),
    h("p", { class: "count", id: "instances" }, h("strong", {}, now), ` ${now === 1 ? "instance" : "instances"}${change}`, h("span", { class: "muted" }, limits)));
}

const sum = (list, key) => (list ?? []).reduce((total, each) => total + (each[key] ?? 0), 0);

// -- scaling -------------------------------------------------------------------------------------

export function scaling(found) {
  known.scaling = found;
  if (known.endpoint) endpoint(known.endpoint);
  if (known.traffic) traffic(known.traffic); // its targets are drawn there
  panel("policies").replaceChildren(...policies(found));
  if (!found) return nothing("scaling", known.endpoint ? "Nothing scales this endpoint." : "Nothing yet.");
  if (found.activities === null) return nothing("scaling", "Not to be had: this cloud or your rights do not tell.");
  if (!found.activities.length) return nothing("scaling", "None so far.");
  panel("scaling").replaceChildren(h("ol", { class: "activities" }, found.activities.map(activity)));
  counts();
}

function policies(found) {
  if (!found) return [];
  return [
    h("h3", {}, "Scaling"),
    h("ul", { class: "policies" }, found.policies.map((each) => h("li", {},
      each.target !== null && each.target !== undefined
        ? h("span", {}, "Holds ", h("code", {}, breakable(each.metric)), " at ", h("strong", {}, number(each.target)))
        : h("span", {}, `${each.type} `, h("code", {}, each.name)),
      h("span", { class: "muted" }, each.out_cooldown === null || each.out_cooldown === undefined ? "" : ` · cooldown ${each.out_cooldown} s out, ${each.in_cooldown} s in`, each.scales_in ? "" : " · never scales in"))),
    (found.scheduled ?? []).map((each) => h("li", {}, h("code", {}, each.schedule), ` ${each.min ?? "–"} to ${each.max ?? "–"} instances (${each.name})`))),
  ];
}

const breakable = (name) => (name ?? "").split(/(?<=[a-z])(?=[A-Z])/).flatMap((part, index) => (index ? [h("wbr"), part] : [part]));

function activity(each) {
  const refused = each.not_scaled.length > 0;
  const from = each.from ?? "", arrow = each.to === null ? null : each.from === each.to ? `${each.to}` : `${from} → ${each.to}`.trim();
  const direction = each.to !== null && each.from !== null ? (each.to > each.from ? "out" : each.to < each.from ? "in" : "same") : "same";
  return h("li", { class: direction },
    h("span", { class: "moved" }, refused ? "–" : (arrow ?? "–")),
    h("span", { class: "about" },
      h("span", {}, refused ? `not scaled: ${each.not_scaled.map(spoken).join(", ")}` : each.why),
      h("span", { class: "muted" }, time(each.began), each.ended && !refused ? ` · took ${lasted(Math.max(0, each.ended - each.began))}` : ""),
      each.cause.length > 0 ? h("details", {}, h("summary", {}, "In AWS’s words"), h("p", {}, each.cause, each.message ? ` ${each.message}` : "")) : null),
    badge(refused ? "Not scaled" : each.status));
}

const spoken = (code) => ({
  AlreadyAtMaxCapacity: "already at the maximum", AlreadyAtMinCapacity: "already at the minimum",
  AlreadyAtDesiredCapacity: "already as many as wanted", AutoScalingAnticipatedFlapping: "it would only go back and forth",
  TargetServicePutResourceAsUnscalable: "the endpoint is being updated",
})[code] ?? code;

export function alarms(found) {
  if (!found.length) return nothing("alarms", "None in this stage.");
  panel("alarms").replaceChildren(h("ul", { class: "alarms", tabindex: 0, "aria-labelledby": "alarms-title" }, found.map((each) => h("li", { title: each.reason },
    h("span", { class: "about" }, h("span", {}, each.label), h("span", { class: "muted" }, each.rule, each.since ? [" · since ", time(each.since)] : "")), badge(each.state)))));
}

// -- traffic -------------------------------------------------------------------------------------

export function traffic(found) {
  known.traffic = found;
  $("cost").textContent = `An hour of it open costs about $${found.usd_per_hour.toFixed(2)} in CloudWatch requests; hidden or paused, nothing.`;
  const { series } = found;
  if (!("invocations" in series)) {
    nothing("traffic", "No endpoint, no traffic.");
    for (const name of Object.keys(TITLES.traffic)) delete charts[name];
  } else {
    const policy = known.scaling?.policies?.find((each) => /InvocationsPerInstance/.test(each.metric ?? ""));
    const concurrency = known.scaling?.policies?.find((each) => /ConcurrentRequests/.test(each.metric ?? ""));
    sums("invocations", "traffic", [["invocations", "requests", "first", true]]);
    counts();
    const percentiles = series.latency_p99?.length;
    values("latency", "traffic", percentiles
      ? [["latency_p99", "p99", "second"], ["latency_p50", "p50", "first"]]
      : [["latency_mean", "mean", "first"]], " ms");
    sums("per_instance", "traffic", [["per_instance", "an instance", "first", true]],
      policy ? [{ value: policy.target, name: `target ${number(policy.target)}` }] : []);
    values("concurrent", "traffic", [["concurrent", "most at once", "first"]], "",
      concurrency ? [{ value: concurrency.target, name: `target ${number(concurrency.target)}` }] : []);
    sums("errors", "traffic", [["errors_5xx", "5xx", "bad"], ["errors_4xx", "4xx", "second"]]);
  }
  functionCharts();
}

function span() {
  const { start, end, period } = known.traffic;
  return { start, period, end: Math.max(start + period, Math.min(end, Math.floor(Date.now() / 1000 / period) * period)) };
}

/** Counts: where AWS has no point there was nothing. The period under way is told, not drawn: it would look like a fall. */
function sums(name, home, wanted, limits = []) {
  const { series } = known.traffic, { start, end, period } = span();
  const drawn = wanted.map(([id, called, kind, area]) => ({ name: called, kind, area, points: filled(series[id] ?? [], start, end, period) }));
  const [first] = wanted, running = (series[first[0]] ?? []).filter(([at]) => at >= end).reduce((total, [, value]) => total + value, 0);
  const latest = drawn.map((each) => `${drawn.length > 1 ? `${each.name} ` : ""}${number(each.points.at(-1)?.[1])}`).join(" · ");
  chart(name, home).show({ series: drawn, limits, start, end: end - period, reading: running ? `${latest}, then ${number(running)} so far` : latest });
}

function values(name, home, wanted, unit, limits = []) {
  const { series } = known.traffic, { start, end, period } = span();
  const drawn = wanted.map(([id, called, kind]) => ({ name: called, kind, points: series[id] ?? [] })).filter((each) => each.points.length);
  const latest = drawn.map((each) => `${drawn.length > 1 ? `${each.name} ` : ""}${number(each.points.at(-1)[1])}${unit}`).join(" · ");
  chart(name, home).show({ series: drawn, limits, unit, start, end: Math.max(end, drawn[0]?.points.at(-1)[0] ?? end), gap: 2.5 * period, reading: latest });
}

/** Instances over time: as seen since the page was opened, before that as the activities tell. */
function counts() {
  if (!known.endpoint || !known.traffic || !("invocations" in known.traffic.series)) return;
  const { start } = known.traffic, end = Date.now() / 1000;
  const seen = known.endpoint.instances ?? [];
  const before = (known.scaling?.activities ?? []).filter((each) => each.to !== null && each.status === "Successful" && each.ended && each.ended < (seen[0]?.[0] ?? end))
    .sort((one, other) => one.ended - other.ended);
  const current = [], wanted = seen.map(([at, , desired]) => [at, desired]);
  if (before.length && before[0].from !== null) current.push([before[0].ended - 1, before[0].from]);
  current.push(...before.map((each) => [each.ended, each.to]), ...seen.map(([at, count]) => [at, count]));
  const cut = (points) => {
    const first = points.findLast(([at]) => at <= start);
    const kept = points.filter(([at]) => at > start);
    if (first) kept.unshift([start, first[1]]);
    return kept.length ? [...kept, [end, kept.at(-1)[1]]] : [];
  };
  const scale = known.scaling, now = sum(known.endpoint.variants, "current");
  chart("instances", "traffic").show({
    series: [{ name: "wanted", kind: "second", step: true, points: cut(wanted) }, { name: "in service", kind: "first", step: true, area: true, points: cut(current) }],
    limits: scale ? [{ value: scale.max, name: `most ${scale.max}` }, { value: scale.min, name: `least ${scale.min}` }] : [],
    start, end, whole: true, reading: `${now}`,
  });
}

// -- the function --------------------------------------------------------------------------------

export function lambda(found) {
  known.function = found;
  if (!found) return nothing("function", "No function yet: ./inv apply.");
  panel("function").replaceChildren(
    h("p", { class: "headline" }, h("strong", {}, `${found.name}:${found.alias}`), " ", badge(found.state)),
    facts([
      ["Version", found.version],
      ["Reserved concurrency", found.reserved ?? "none"],
      ["Provisioned", found.provisioned ? `${found.provisioned.available ?? 0} of ${found.provisioned.requested}${found.provisioned.status === "READY" ? "" : ` (${found.provisioned.status})`}` : "none"],
      ["Memory, timeout", `${found.memory_mb} MB, ${found.timeout_seconds} s`],
      ["URL", found.url],
    ]),
  );
  functionCharts();
}

function functionCharts() {
  if (!known.traffic || !("calls" in known.traffic.series)) return;
  const reserved = known.function?.reserved;
  sums("calls", "function-charts", [["calls", "calls", "first", true]]);
  values("function_concurrent", "function-charts", [["function_concurrent", "most at once", "first"]], "",
    reserved ? [{ value: reserved, name: `reserved ${reserved}`, far: true }] : []);
  sums("function_errors", "function-charts", [["function_errors", "errors", "bad"], ["throttles", "throttles", "second"]]);
}

// -- jobs and runs -------------------------------------------------------------------------------

const opened = new Set();

export function jobs(found) {
  if (!found.length) return nothing("jobs", "None in this stage: ./inv train --on sagemaker, ./inv tune --on sagemaker.");
  list("jobs", found.map((job) => {
    const about = [`${job.kind} · `, time(job.began), job.ended ? ` · ${lasted(job.ended - job.began)}` : ""];
    if (job.kind === "bulk") return h("li", { class: "entry plain" }, headline(job.name, about), h("span", { class: "end" }, badge(job.status))); // learns nothing: no curves
    return entry(job.name, { title: job.name, about, end: badge(job.status), load: () => `/api/curves/${job.kind}/${encodeURIComponent(job.name)}` });
  }));
}

export function runs({ runs: found, studies }) {
  const entries = found.map((run) => entry(run.name, {
    title: run.backbone ?? run.name,
    about: [time(run.at), run.job ? ` · job ${run.job}` : ""],
    end: run.accuracy === null || run.accuracy === undefined ? null : h("strong", {}, percent(run.accuracy)),
    data: { by: "epoch", points: run.points, report: run.report },
  }));
  if (!entries.length && !studies.length) return nothing("runs", "None yet: ./inv train.");
  list("runs", [...entries, ...studies.map((study) => h("li", { class: "entry plain" },
    h("a", { href: study.report, target: "_blank", rel: "noopener" }, `Tuning report ${study.name}`), h("span", { class: "muted" }, time(study.at))))]);
}

/** An entry that is open stays as it is, so that neither focus nor curves are lost; the others are new. */
function list(name, entries) {
  const home = panel(name), open = new Map([...home.querySelectorAll("details[open], details:focus-within")].map((each) => [each.dataset.name, each.parentElement]));
  const fresh = entries.map((each) => {
    const details = each.querySelector("details"), kept = details && open.get(details.dataset.name);
    if (!kept) return each;
    kept.querySelector(".end").replaceChildren(...details.querySelector(".end").childNodes);
    if (kept.firstChild.open) kept.firstChild.refresh?.();
    return kept;
  });
  const focused = document.activeElement;
  home.replaceChildren(h("ul", { class: "entries" }, fresh));
  if (home.contains(focused)) focused.focus({ preventScroll: true });
}

const headline = (title, about) => h("span", { class: "about" }, h("span", {}, title), h("span", { class: "muted" }, about));

function entry(name, { title, about, end, load, data }) {
  const body = h("div", { class: "curves" });
  const details = h("details", { "data-name": name, ontoggle: () => details.open && details.refresh() },
    h("summary", {}, headline(title, about), h("span", { class: "end" }, end)), body);
  details.refresh = async () => {
    opened.add(name);
    if (data) return body.childElementCount || curves(body, data);
    if (!body.childElementCount) body.replaceChildren(hint("Asking the cloud…"));
    try {
      const answer = await (await fetch(load())).json();
      if (answer.error) body.replaceChildren(hint(`${answer.error.rule} ${answer.error.received}`));
      else curves(body, answer.data);
    } catch {
      body.replaceChildren(hint("The page’s server does not answer."));
    }
  };
  return h("li", { class: "entry" }, details);
}

function curves(body, { by, points, report }) {
  const link = report ? h("p", {}, h("a", { href: report, target: "_blank", rel: "noopener" }, "Report")) : null;
  const of = (key) => points.filter((row) => Number.isFinite(row[key])).map((row, index) => [row[by] ?? index + 1, row[key]]);
  if (by === "trial") {
    const numbered = points.map((row, index) => ({ ...row, trial: index + 1 }));
    const tried = numbered.filter((row) => row.value !== null).map((row) => [row.trial, row.value]);
    const best = numbered.filter((row) => row.best !== null).map((row) => [row.trial, row.best]);
    body.curve ??= [new Chart("Validation loss by trial")];
    body.curve[0].show({ series: [{ name: "a trial", kind: "second", points: tried }, { name: "best so far", kind: "first", step: true, points: best }],
      start: 1, end: Math.max(1, points.length), axis: (at) => `trial ${Math.round(at)}`, dots: true, digits: 4, reading: best.length ? `best ${number(best.at(-1)[1], 4)}` : "", empty: "No trial has ended yet." });
  } else {
    const all = points.map((row) => row[by]), axis = (at) => `${by} ${Math.round(at)}`;
    body.curve ??= [new Chart("Loss"), new Chart("Accuracy")];
    for (const [index, kind] of ["loss", "accuracy"].entries()) {
      const valid = of(`valid_${kind}`), last = valid.at(-1)?.[1];
      body.curve[index].show({ series: [{ name: "training", kind: "second", points: of(`train_${kind}`) }, { name: "validation", kind: "first", points: valid }].filter((each) => each.points.length),
        start: Math.min(...all), end: Math.max(...all), axis, digits: 3, most: kind === "accuracy" ? 1 : undefined,
        reading: last === undefined ? "" : kind === "accuracy" ? percent(last) : number(last, 3), empty: "No epoch has been told yet." });
    }
  }
  if (body.firstChild?.className !== "charts pair") body.replaceChildren(h("div", { class: "charts pair" }, body.curve.map((each) => each.element)));
  if (link && !body.querySelector("a")) body.append(link);
}
