// A Run button, what it says, and below it what the code prints, draws and returns. One Python serves all panels of a
// page: one runs at a time, and its button stops it.
import { startEngine, Stopped } from "./engine.js";

const engine = startEngine({ onProgress });
let running;  // the panel that runs
const LONGEST = 100_000;  // characters of a cell's output that are shown; our choice
const ended = [];  // called when Python has ended, and the state of the cells with it

export const onEnd = (call) => ended.push(call);

function onProgress({ stage, done, total }) {
  const MB = (bytes) => Math.round(bytes / 1e6);
  const said = { loading: `Loading Python: ${MB(done)} of ${MB(total)} MB`, starting: "Starting Python" };
  running?.say(said[stage] ?? "Running");
}

export function make(kind, name, text = "") {
  const element = document.createElement(kind);
  element.className = name;
  element.textContent = text;
  return element;
}

export class Panel {
  // The button's label, what it runs, and `press`, which runs code by `show` and says at the end how it went.
  constructor(label, name, press) {
    this.name = name;
    this.button = make("button", "live-run");
    this.call(label);
    this.status = make("span", "live-status");
    this.status.setAttribute("role", "status");
    this.bar = make("div", "live-bar");
    this.bar.append(this.button, this.status);
    this.result = make("div", "live-result");
    this.element = make("div", "live");
    this.element.append(this.bar, this.result);
    this.button.addEventListener("click", () => this.press(label, press));
  }

  call(label) {
    this.button.textContent = label;
    this.button.setAttribute("aria-label", `${label} ${this.name}`);
  }

  say(text) {
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  async press(label, press) {
    if (running === this) return engine.stop();
    if (running) return this.say("Another cell is running");
    running = this;
    this.call("Stop");
    const start = performance.now();
    try {
      this.say("Running");
      this.say((await press()) ?? `Done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    } catch (error) {
      for (const call of ended) call();
      this.say(error instanceof Stopped ? "Stopped; the next run starts a new Python" : `Failed: ${error.message}`);
    }
    running = undefined;
    this.call(label);
  }

  // Run code, and show its output here, below what is there if `kept`; its error, or null.
  async show(code, kept = false) {
    if (!kept) this.result.replaceChildren();
    const output = make("pre", "live-output");
    let left = LONGEST;
    const onOutput = (text) => {
      if (!output.isConnected) this.result.append(output);
      if (left > 0) output.append(text.length < left ? text : `${text.slice(0, left)}\n(and more)`);
      left -= text.length;
    };
    const { figures, value, error } = await engine.run(code, { onOutput });
    for (const { svg, text } of figures) {
      const picture = make("img", "live-figure");
      picture.alt = text;
      picture.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
      this.result.append(picture);
    }
    if (value !== null) this.result.append(Object.assign(make("div", "value"), { innerHTML: value }));
    if (error !== null) this.result.append(make("pre", "live-output live-error", error));
    for (const pre of this.result.querySelectorAll("pre")) pre.tabIndex = 0;  // it may scroll
    return error;
  }
}
