// The methods, the numbers of the chosen one, the settings, and the headline.
function drawRows() {
  byId("methods").replaceChildren();
  data.methods.forEach((method, i) => {
    const line = document.createElement("div"), guess = document.createElement("label"), box = document.createElement("input"), mark = document.createElement("span");
    line.className = "line"; guess.className = "guess"; box.type = "checkbox"; box.ariaLabel = `guess: ${method.name}`;
    box.onchange = () => { state.guesses[box.checked ? "add" : "delete"](i); draw(); };
    guess.append(box, mark);
    const row = document.createElement("button");
    row.className = "row"; row.type = "button"; row.id = `method-${method.name}`;
    row.setAttribute("role", "radio");
    row.onclick = () => { state.chosen = i; draw(); };
    const swatch = make(row, "svg", { viewBox: "0 0 60 24", "aria-hidden": "true" });
    make(swatch, "path", { d: "M0 12H40", ...stroke(method, 5) });
    sign(swatch, method, "translate(49 12) scale(9)");
    const words = document.createElement("span");
    words.style.minWidth = 0;
    words.append(document.createElement("strong"), document.createElement("small"));
    words.firstChild.textContent = method.name;
    row.append(words);
    make(row, "svg", { viewBox: "0 0 200 44", class: "bars", preserveAspectRatio: "none", "aria-hidden": "true" });
    line.append(guess, row);
    byId("methods").append(line);
  });
}

function drawBars(svg, run) {
  svg.replaceChildren();
  make(svg, "path", { d: "M0 22H200", stroke: css("--line"), "stroke-width": 1 });
  if (!run) return;
  const width = 200 / Math.max(20, steps());
  for (let k = 0; k < Math.min(state.step, rows(run) - 1); k++) {
    const c = at(run, k)[CURVATURE] ?? 0, height = c && Math.min(20, Math.max(2, 20 * Math.log1p(Math.abs(c)) / Math.log1p(state.scene.largest)));
    make(svg, "rect", { x: k * width, y: c < 0 ? 22 : 22 - height, width: width * .86, height, fill: css(c < 0 ? "--down" : "--up") });
  }
}

function drawRow(line, i) {
  const run = waiting() ? undefined : state.runs[i], method = data.methods[i], row = line.querySelector(".row"), box = line.querySelector("input");
  row.setAttribute("aria-checked", i === state.chosen);
  row.tabIndex = i === state.chosen ? 0 : -1;
  row.querySelector("small").textContent = !run ? "\u2026" : !state.step && steps() ? method.words : has(run) ? run.outcome : pair(...at(run, state.step).slice(0, 2));
  box.checked = state.guesses.has(i); box.disabled = state.step > 0;
  line.querySelector("span").textContent = !run || !state.guesses.size || !state.step || state.step < steps() ? "" : box.checked === run.right ? "right" : "wrong";
  drawBars(row.querySelector(".bars"), run);
}

function drawDetail() {
  const run = state.runs[state.chosen], p = at(run, state.step), ended = has(run), method = data.methods[state.chosen];
  byId("point").textContent = pair(p[X], p[Y]);
  byId("gradient").textContent = pair(p[GX], p[GY]);
  const eigenvalues = byId("eigenvalues"), curvature = byId("curvature"), shown = state.step > 0 || steps() === 0;
  eigenvalues.textContent = `${written(p[LOW])}, ${written(p[HIGH])}`;
  eigenvalues.className = p[LOW] < 0 ? "negative" : "";
  curvature.textContent = !shown ? "?" : ended ? "no step" : written(p[CURVATURE]);
  curvature.className = shown && !ended && p[CURVATURE] < 0 ? "negative" : "";
  byId("reason").textContent = !shown ? `${method.name}: ${method.words}` : ended ? `${method.name}: ${run.why}` : state.reasons[p[REASON]];
  byId("source").replaceChildren(`${method.source}; `, lessonLink("lesson 7"));
}

function siteLink() {
  byId("site").hidden = !data.lessons;
  if (data.lessons) byId("site").href = `${data.lessons}../index.html`;
}
function lessonLink(words) {
  const link = document.createElement(data.lessons ? "a" : "span");
  if (data.lessons) link.href = `${data.lessons}07_saddle.html`;
  link.textContent = data.lessons ? words : `${words} (refhf lesson 7)`;
  return link;
}

function drawHeadline() {
  const last = steps(), shown = state.runs.length > 0 && !waiting(), ended = shown && state.step >= last;
  const from = state.start ? `From ${pair(...state.start.map(x => Number(x.toPrecision(4))))}: ` : "";
  const counted = Object.keys(data.says).map(group => [group, state.runs.filter(run => run.ending === group).length]).filter(([, n]) => n);
  const result = () => counted.map(([group, n]) => `${n} ${data.says[group][n === 1 ? 0 : 1]}`).join(", ");
  byId("headline").textContent = state.opening ? (answered ? "Computing\u2026" : "Starting Python\u2026") : !state.scene ? state.said
    : from + (state.computing ? "computing\u2026" : !shown ? "not computed" : ended ? result() : state.scene.question);
  const right = state.runs.filter((run, i) => run.right === state.guesses.has(i)).length;
  byId("score").className = state.said ? "negative" : ""; byId("score").role = state.said ? "alert" : null;
  byId("score").textContent = state.said ? state.said : !shown ? "" : !state.step && last ? "Tick your guesses, then play." : ended && state.guesses.size ? `You were right about ${right} of ${state.runs.length}.` : "";
  byId("step").max = last; byId("step").value = state.step;
  byId("step").setAttribute("aria-valuetext", `step ${state.step} of ${last}`);
  byId("count").textContent = `step ${state.step} of ${last}`;
}

// The sliders: logarithmic, in hundredths of the range with an engine, else from stop to stop.
function drawSettings() {
  const box = byId("settings");
  box.replaceChildren();
  for (const name of SETTINGS) {
    const { label, words } = data.settings[name], line = document.createElement("label"), slider = document.createElement("input");
    line.innerHTML = "<span></span> <output></output>";
    line.firstChild.textContent = `${label}: ${words}`;
    slider.type = "range"; slider.id = `set-${name}`; slider.ariaLabel = `${label}: ${words}`;
    slider.min = 0;
    slider.oninput = () => set(name, stopsOf(name)[slider.value]);
    line.append(slider);
    box.append(line);
  }
}
function stopsOf(name) {
  const { low, high, stops, default: own } = data.settings[name];
  if (!engine()) return stops;
  const found = Array.from({ length: 41 }, (_, k) => Number((low * (high / low) ** (k / 40)).toPrecision(2)));
  return [...new Set([...found, own, ...stops])].sort((a, b) => a - b);
}
function showSettings() {
  const method = data.methods[state.chosen];
  for (const name of SETTINGS) {
    const slider = byId(`set-${name}`), stops = stopsOf(name), value = state.settings[name];
    slider.max = stops.length - 1;
    slider.value = stops.reduce((best, stop, k) => Math.abs(Math.log(stop / value)) < Math.abs(Math.log(stops[best] / value)) ? k : best, 0);
    slider.setAttribute("aria-valuetext", written(value));
    slider.parentNode.querySelector("output").textContent = written(value);
    slider.parentNode.classList.toggle("used", data.methods.some(one => one.settings.includes(name)));
    slider.parentNode.classList.toggle("moved", value !== data.settings[name].default);
  }
}

function draw() {
  const log = byId("log").checked, shown = state.runs.length > 0 && !waiting();
  document.body.classList.toggle("waiting", waiting());
  byId("save").disabled = byId("play").disabled = !shown;
  if (state.free !== Boolean(engine())) meetEngine();
  if (shown) state.step = Math.min(state.step, steps());
  drawHeadline();
  if (!state.scene) return;
  plan.toggleAttribute("hidden", log); chart.toggleAttribute("hidden", !log);
  drawStart(); showSettings();
  document.querySelectorAll(".line").forEach(drawRow);
  if (!shown) return drawNothing();
  drawPaths(); drawLens(); drawDetail(); drawBasins();
  if (log) drawChart();
  clearTimeout(state.note);
  state.note = setTimeout(share, 300);
}

function drawNothing() {  // the start has no runs yet; those of the start before stay, pale, until they come
  document.querySelectorAll("#detail dd").forEach(number => { number.textContent = "\u2026"; });
  byId("reason").textContent = "";
  if (!state.runs.length) for (const id of ["paths", "now", "lens", "chart"]) byId(id).replaceChildren();
}

// All that belongs to a surface, once.
function drawScene() {
  const scene = state.scene;
  byId("surface").textContent = scene.name === OWN ? "" : scene.surface;
  byId("surfaces").value = scene.name;
  byId("own").hidden = scene.name !== OWN;
  byId("log").disabled = scene.off === null; byId("log").parentNode.hidden = scene.off === null;
  if (scene.off === null) byId("log").checked = false;
  byId("special").replaceChildren(...scene.special.map((name, i) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "plain", textContent: name, onclick: () => choose(...scene.named[i]) });
    return button;
  }));
  state.guesses.clear(); state.cells = null;
  drawMap();
}
