// A Run button on each code cell of a lesson. The cells share one Python: a cell first runs those before it that have
// not run. A cell before it that needs threads is passed over: a page has one.
import { Panel, make, onEnd } from "./panel.js";

const NO_THREAD = "can't start new thread";
const cells = [...document.querySelectorAll("article .highlight-python")].map(makeCell);
onEnd(() => cells.forEach((cell) => (cell.ran = false)));

function makeCell(block, place) {
  const pre = block.querySelector("pre").cloneNode(true);
  pre.querySelectorAll(".beside").forEach((equation) => equation.remove());
  const cell = { code: pre.textContent, ran: false };
  cell.panel = new Panel("Run", `cell ${place + 1}`, () => runTo(place));
  addEditor(cell, block);
  block.after(cell.panel.element);
  return cell;
}

function addEditor(cell, block) {
  const original = cell.code;
  const button = make("button", "live-edit", "Edit");
  const editor = make("textarea", "live-code");
  editor.setAttribute("aria-label", "The code of this cell; Control and Enter run it");
  editor.spellcheck = false;
  editor.rows = original.trimEnd().split("\n").length;
  editor.addEventListener("input", () => {
    cell.code = editor.value;
    cell.ran = false;
  });
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey) cell.panel.button.click();
  });
  button.addEventListener("click", () => {
    if (editor.isConnected) {
      editor.remove();
      cell.ran &&= cell.code === original;
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

async function runTo(place) {
  for (let at = 0; at <= place; at++) {
    const cell = cells[at];
    if (cell.ran && at < place) continue;
    const { panel } = cells[place];
    panel.say(`Running cell ${at + 1}`);
    const error = await cell.panel.show(cell.code);
    cell.ran = error === null || error.includes(NO_THREAD);
    if (error?.includes(NO_THREAD)) cell.panel.say("This cell needs threads, which a page does not have: see refhf lesson");
    if (error !== null && (at === place || !cell.ran)) return `Cell ${at + 1} failed`;
  }
}
