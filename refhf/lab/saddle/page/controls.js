// What the hands do.
function pause() {
  clearTimeout(state.timer); state.timer = null;
  byId("play").innerHTML = "&#9654; Play"; byId("play").setAttribute("aria-label", "Play the steps");
}
function play() {
  if (byId("play").disabled) return;
  if (state.timer) { pause(); return share(); }
  if (state.step >= steps()) state.step = 0;
  byId("play").innerHTML = "&#10073;&#10073; Pause"; byId("play").setAttribute("aria-label", "Pause");
  draw(); tick();
}
function tick() {
  const wait = delays()[state.step] ?? 0;
  state.timer = setTimeout(() => {
    state.step = state.step + 1 < settled() ? state.step + 1 : steps();
    if (state.step >= steps()) pause(); else tick();
    draw();
  }, wait / Number(byId("speed").value));
}
function go(step) { pause(); state.atEnd = step > 0 && step >= steps(); state.step = Math.max(0, Math.min(steps(), step)); draw(); }
function begin() {  // at the end of the paths the new ones are shown to their ends, else none
  pause();
  state.atEnd = state.step > 0 && state.step >= steps();
  if (!state.atEnd) state.step = 0;
  state.guesses.clear();
  return loadInTurn();
}
function choose(x, y) { state.start = nearest(x, y, true); return begin(); }
function reset() {
  state.guesses.clear(); state.settings = defaults(); state.step = 0; state.atEnd = false;
  pause(); state.start = nearest(...state.start, true);
  return load();
}
// A setting as the page can show it: with an engine any in its range, else the nearest stop.
function held(name, value) {
  const { low, high, stops } = data.settings[name];
  return engine() ? Math.max(low, Math.min(high, value)) : stops.reduce((a, b) => Math.abs(b - value) < Math.abs(a - value) ? b : a);
}
function set(name, value) {
  if (!engine()) state.settings = defaults();  // one at a time has runs
  state.settings[name] = held(name, value);
  state.start = nearest(...state.start, true);
  return begin();
}
// The start that a place stands for: without an engine the nearest that has runs, else the place on a fine grid.
function nearest(x, y, exact = false) {
  const [x0, x1, y0, y1] = sides();
  if (engine()) {
    const held = (value, low, high) => Math.max(low, Math.min(high, value)), round = (value, by) => Number((Math.round(value / by) * by).toPrecision(6)) + 0;
    const by = length => 10 ** Math.floor(Math.log10(length / 100));
    return exact ? [x, y] : [held(round(x, by(x1 - x0)), x0, x1), held(round(y, by(y1 - y0)), y0, y1)];
  }
  const { starts, grid } = state.scene.store, far = ([u, v]) => Math.hypot((u - x) / (x1 - x0), (v - y) / (y1 - y0));
  const known = availableStarts().filter(i => i < grid || exact).map(i => starts[i]);
  return known.reduce((a, b) => far(b) <= far(a) ? b : a);
}
function under(event) {
  const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(plan.getScreenCTM().inverse()), [x0, x1, y0, y1] = sides();
  return nearest(x0 + p.x / 1000 * (x1 - x0), y1 - p.y / 1000 * (y1 - y0));
}
function moveStart(to) {
  if (String(to) === String(state.start)) return;
  state.start = to;
  return begin();
}
function nudge(dx, dy) {  // to the next start in a direction
  const [x, y] = state.start, [x0, x1, y0, y1] = sides();
  if (engine()) return moveStart(nearest(x + dx * (x1 - x0) / 30, y + dy * (y1 - y0) / 30));
  const { starts, grid } = state.scene.store, c = dx ? 0 : 1, by = dx || dy;
  const beyond = availableStarts().filter(i => i < grid).map(i => starts[i]).filter(one => (one[c] - state.start[c]) * by > 1e-9);
  if (!beyond.length) return;
  const next = Math.min(...beyond.map(one => one[c] * by)) * by;
  return moveStart(dx ? nearest(next, y) : nearest(x, next));
}
plan.onpointerdown = event => { plan.setPointerCapture(event.pointerId); plan.focus({ focusVisible: false }); moveStart(under(event)); event.preventDefault(); };
plan.onpointermove = event => { if (plan.hasPointerCapture(event.pointerId)) moveStart(under(event)); };
byId("play").onclick = play; byId("reset").onclick = reset; byId("save").onclick = save; byId("share").onclick = copyLink;
byId("end").onclick = () => go(Infinity);
byId("step").oninput = event => go(Number(event.target.value));
for (const box of BOXES) byId(box).onchange = draw;
document.onkeydown = event => {
  const typing = event.target.tagName === "INPUT" && !["checkbox", "range"].includes(event.target.type);
  const own = typing || event.target.tagName === "SELECT" || event.target.type === "range" && (event.key.startsWith("Arrow") || event.target.id !== "step");
  if (event.ctrlKey || event.altKey || event.metaKey || own) return;
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (arrow && event.target === plan) nudge(...arrow);
  else if (arrow && arrow[0]) go(state.step + arrow[0]);
  else if (arrow) {
    const n = data.methods.length, inRows = event.target.classList.contains("row");
    state.chosen = (state.chosen - arrow[1] + n) % n;
    draw();
    if (inRows) document.querySelectorAll(".row")[state.chosen].focus();
  } else if (event.key === "Home") go(0);
  else if (event.key === "End") go(Infinity);
  else if (event.key === " " && !["BUTTON", "INPUT", "SUMMARY"].includes(event.target.tagName)) play();
  else return;
  event.preventDefault();
};

async function showSurface(spec) {
  pause();
  if (!await openScene(spec)) return false;
  state.step = 0; state.atEnd = false; state.settings = defaults();
  await load();
  return true;
}
byId("surfaces").onchange = event => {
  byId("own").hidden = event.target.value !== OWN;
  if (event.target.value === OWN) byId("function").focus(); else showSurface({ surface: event.target.value });
};
byId("own").onsubmit = event => {
  event.preventDefault();
  showSurface({ function: byId("function").value, window: byId("window").value.split(",").map(Number) });
};
for (const [name, title] of Object.entries({ ...data.surfaces, [OWN]: "your own function\u2026" })) {
  const option = new Option(name === OWN ? title : name, name);
  byId("surfaces").append(option);
}
function meetEngine() {  // an engine may be ready later than the page
  state.free = Boolean(engine());
  byId("surfaces").lastChild.disabled = !engine();
  byId("surfaces").lastChild.textContent = engine() ? "your own function\u2026" : "your own function: refhf classroom";
  if (state.scene) showSettings();
}
byId("lesson").append(lessonLink("Lesson 7, Leaving a saddle"));
addEventListener("refhf-engine", meetEngine);
drawRows(); drawSettings(); siteLink(); meetEngine();
dark.onchange = () => { drawRows(); if (state.scene) { paintGround(); draw(); } };
const ready = follow();
onhashchange = follow;
