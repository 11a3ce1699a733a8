"use strict";
// The page draws; every number comes from refhf: from the runs packed in the page, or from an engine that is asked.
const data = JSON.parse(document.getElementById("data").textContent);
const COLUMNS = data.columns.length, [X, Y, F, GX, GY, LOW, HIGH, ANGLE, CURVATURE, OFF, REASON] = data.columns.keys();
const byId = id => document.getElementById(id);
const plan = byId("plan"), chart = byId("chart"), SVG = plan.namespaceURI;
const SETTINGS = Object.keys(data.settings), OWN = "own";
const defaults = () => Object.fromEntries(SETTINGS.map(name => [name, data.settings[name].default]));
// `scene` is the surface that is shown, `runs` a run of each method; a run is rows of COLUMNS numbers.
const state = { scene: null, spec: null, start: null, runs: [], reasons: [], settings: defaults(), step: 0,
  chosen: data.methods.length - 1, guesses: new Set(), timer: null, note: null, said: "", atEnd: false, cells: null, free: false,
  opening: false, computing: false };  // the scene, or its runs, are asked for
const PACE = 450, FIRST = 10, REST = 6000;  // milliseconds a step; steps at that pace; milliseconds for the others at most

const rows = run => run.numbers.length / COLUMNS;
const at = (run, k) => { const i = Math.min(k, rows(run) - 1) * COLUMNS; return run.numbers.slice(i, i + COLUMNS); };
const steps = () => Math.max(1, ...state.runs.map(rows)) - 1;
const hidden = i => byId("only").checked && i !== state.chosen && !state.guesses.has(i);
const waiting = () => state.opening || state.computing;
const has = run => state.step >= rows(run) - 1;  // the run is shown to its end
function settled() {  // the steps after which nothing moves by 3 thousandths of the map
  const moves = run => {
    const [u, v] = at(run, Infinity);
    for (let k = rows(run) - 1; k > 0; k--) {
      const [x, y] = at(run, k - 1);
      if (Math.hypot(across(x) - across(u), down(y) - down(v)) > 3) return k;
    }
    return 0;
  };
  return Math.max(0, ...state.runs.map(moves));
}
function delays() {  // of the animation's steps, in milliseconds at speed 1
  const n = settled();
  return Array.from({ length: n }, (_, k) => k < FIRST ? PACE : Math.min(PACE, REST / (n - FIRST)));
}

// Words.
const RAISED = { "-": "\u207b", 0: "\u2070", 1: "\u00b9", 2: "\u00b2", 3: "\u00b3", 4: "\u2074", 5: "\u2075", 6: "\u2076", 7: "\u2077", 8: "\u2078", 9: "\u2079" };
function written(x) {
  if (x === null) return "none";
  const [digits, power] = (x !== 0 && (Math.abs(x) < .001 || Math.abs(x) >= 1e6) ? x.toExponential() : String(x)).split("e");
  if (power === undefined) return digits.replace("-", "\u2212");
  const shown = `${digits}\u00d710${[...String(Number(power))].map(c => RAISED[c]).join("")}`;
  return shown.replace(/^(-?)1\u00d7/, "$1").replace("-", "\u2212");
}
const pair = (x, y) => `(${written(x)}, ${written(y)})`;
