// A Run button on each code cell of a lesson. The cells share one Python: a cell first runs those before it that have
// not run. A cell before it that needs threads is passed over: a page has one.
import { Panel, make, onEnd } from "./panel.js";

const NO_THREAD = "can't start new thread";
const CHECKED = "This line checks the lesson's own numbers; delete it to go on.";
const cells = [...document.querySelectorAll("article .highlight-python")].map(makeCell);
for (const fold of document.querySelectorAll("article details:has(.highlight-python)")) addTurn(fold);
onEnd(() => stale(0));

// The cells from this one on have to run again.
function stale(place) {
  for (const cell of cells.slice(place)) cell.ran = false;
}

// What the lesson shows below a code block: its output, pictures and value when the site was built.
function storedBelow(block) {
  const found = [];
  let next = block.nextElementSibling;
  for (; next?.matches(".output, .value, p:has(> a > img:only-child)"); next = next.nextElementSibling) found.push(next);
  return found;
}

function makeCell(block, place) {
  const pre = block.querySelector("pre").cloneNode(true);
  pre.querySelectorAll(".beside").forEach((equation) => equation.remove());
  const cell = { code: pre.textContent, original: pre.textContent, ran: false, stored: storedBelow(block) };
  cell.panel = new Panel("Run", `cell ${place + 1}`, () => runTo(place));
  addEditor(cell, block, place);
  block.after(cell.panel.element);
  return cell;
}

function makeEditor(panel, rows) {
  const editor = make("textarea", "live-code");
  editor.setAttribute("aria-label", "The code of this cell; Control and Enter run it");
  editor.spellcheck = false;
  editor.rows = rows;
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey) panel.button.click();
  });
  return editor;
}

// An empty cell for the reader's own answer, above the fold with the lesson's.
function addTurn(fold) {
  const before = cells.findIndex((cell) => fold.contains(cell.panel.element));
  const panel = new Panel("Run", "your answer", async () => {
    const failed = before > 0 ? await runTo(before - 1, panel, false) : undefined;
    return failed ?? ((await panel.show(editor.value)) === null ? undefined : "Your answer failed");
  });
  const editor = makeEditor(panel, 3);
  editor.placeholder = "# Your turn";
  panel.element.classList.add("live-turn");
  panel.element.prepend(editor);
  fold.before(panel.element);
}

function addEditor(cell, block, place) {
  const { original } = cell;
  const button = make("button", "live-edit", "Edit");
  const editor = makeEditor(cell.panel, original.trimEnd().split("\n").length);
  editor.addEventListener("input", () => {
    cell.code = editor.value;
    stale(place);
  });
  button.addEventListener("click", () => {
    if (editor.isConnected) {
      editor.remove();
      if (cell.code !== original) stale(place);
      cell.code = original;
    } else {
      editor.value = cell.code.trimEnd();
      block.after(editor);
      editor.focus();
    }
    block.hidden = editor.isConnected;
    button.textContent = editor.isConnected ? "Restore" : "Edit";
  });
  cell.panel.button.after(button);
}

// Run a cell after those before it that have not run; `panel` says how far it is. A cell that has run runs `again` if it
// is the last.
async function runTo(place, panel = cells[place].panel, again = true) {
  for (let at = 0; at <= place; at++) {
    const cell = cells[at];
    if (cell.ran && !(again && at === place)) continue;
    panel.say(`Running cell ${at + 1}`);
    const error = await cell.panel.show(cell.code);
    cell.ran = error === null || error.includes(NO_THREAD);
    if (error?.includes(NO_THREAD)) cell.panel.say("This cell needs threads, which a page does not have: see refhf lesson");
    for (const stored of cell.stored) stored.hidden = !error?.includes(NO_THREAD);
    if (/^AssertionError/m.test(error ?? "") && cells.slice(0, at + 1).some((one) => one.code !== one.original)) {
      cell.panel.result.append(make("p", "live-note", CHECKED));
    }
    if (error !== null && (at === place || !cell.ran)) return `Cell ${at + 1} failed`;
  }
}
