// Asks for each panel at its own pace, tells what fails where it fails, and rests while nobody looks.

import { start as startAsking } from "./ask.js";
import { $, clock, h, told } from "./dom.js";
import * as panels from "./panels.js";

const SLOWEST = 60; // seconds between two tries of what fails
const LONGEST_WAIT = 30_000; // milliseconds for one answer

class Panel {
  constructor(name, every, show, address = () => `/api/${name}`) {
    Object.assign(this, { name, every, show, address, failures: 0, timer: null, good: null });
    this.home = document.querySelector(`[data-panel="${name}"]`);
    this.notice = h("p", { class: "error small", hidden: true });
    this.home.before(this.notice);
  }

  async ask() {
    clearTimeout(this.timer);
    const turn = (this.turn = Symbol());
    let answer;
    try {
      const response = await fetch(this.address(), { signal: AbortSignal.timeout(LONGEST_WAIT) });
      answer = response.headers.get("content-type")?.startsWith("application/json")
        ? await response.json() : { error: { rule: (await response.text()).trim() } };
    } catch {
      answer = { error: { rule: "The page’s server does not answer.", remedy: "Start ./inv console again." } };
    }
    if (turn !== this.turn) return;
    if (answer.error) this.fail(answer.error);
    else this.succeed(answer.data);
    this.later();
  }

  succeed(data) {
    this.failures = 0;
    this.good = Date.now() / 1000;
    this.notice.hidden = true;
    const text = JSON.stringify(data);
    if (text === this.text) return;
    this.text = text;
    this.home.querySelector(".wait")?.remove();
    this.show(data);
  }

  fail(error) {
    this.failures += 1;
    const as = this.good ? h("span", { class: "as-of" }, ` Shown is what was at ${clock(this.good, true)}.`) : null;
    const text = JSON.stringify(error);
    if (this.notice.hidden || this.failure !== text) this.notice.replaceChildren(...[...told(error), as].filter(Boolean));
    this.failure = text;
    this.notice.hidden = false;
    this.home.querySelector(".wait")?.remove();
    if (this.name === "endpoint" && !this.good) {
      $("pulse").className = "pulse bad";
      $("pulse-text").textContent = "No word from the cloud";
    }
  }

  later() {
    clearTimeout(this.timer);
    if (resting()) return;
    const seconds = this.failures ? Math.min(SLOWEST, this.every * 2 ** Math.min(this.failures - 1, 5)) : this.every;
    this.timer = setTimeout(() => this.ask(), seconds * 1000);
  }
}

let paused = false;
const resting = () => paused || document.hidden;

const all = [
  new Panel("endpoint", 4, panels.endpoint),
  new Panel("scaling", 10, panels.scaling),
  new Panel("traffic", 15, panels.traffic, () => `/api/traffic?minutes=${$("window").value}`),
  new Panel("alarms", 15, panels.alarms),
  new Panel("function", 30, panels.lambda),
  new Panel("jobs", 12, panels.jobs),
  new Panel("runs", 30, panels.runs),
];

function wake() {
  for (const each of all) resting() ? clearTimeout(each.timer) : each.ask();
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  document.body.classList.toggle("paused", paused);
  wake();
});
$("window").addEventListener("change", () => all.find((each) => each.name === "traffic").ask());
document.addEventListener("visibilitychange", wake);
startAsking();
wake();
