// The box of the page "Check your own Hessian product": its text blocks are the problem, a right and a wrong product.
import { Panel, make } from "./panel.js";

const [problem, right, wrong] = [...document.querySelectorAll("article .highlight-python pre")].map((p) => p.textContent);

function editor(label, code) {
  const element = make("textarea", "live-code");
  element.setAttribute("aria-label", label);
  element.spellcheck = false;
  element.value = code.trimEnd();
  element.rows = element.value.split("\n").length;
  return element;
}

const own = editor("Your product, in Python", right);
const setting = editor("The problem, in Python", problem);
const folded = make("details", "");
folded.append(make("summary", "", "The problem"), setting);

const panel = new Panel("Check", "the product", async () => {
  const start = `globals().pop("hvp", None)\n`;  // the product of the check before
  for (const code of [start, setting.value, own.value]) {
    if ((await panel.show(code)) !== null) return "The code failed before the check";
  }
  const error = await panel.show("report = refhf.check_hessian_product(hvp, theta, objective)\nprint(report)", true);
  if (error?.includes("name 'hvp' is not defined")) return "Name it hvp(theta, v)";
  if (error !== null) return "The check failed";
  const report = [...panel.result.querySelectorAll(".live-output")].at(-1);
  const [headline, ...lines] = report.textContent.split("\n");
  report.textContent = lines.join("\n");
  return [headline, ...lines.filter((line) => line.startsWith("diagnosis"))].join(". ");
});
const examples = [["Right example", right], ["Wrong example", wrong]].map(([label, code]) => {
  const button = make("button", "", label);
  button.addEventListener("click", () => (own.value = code.trimEnd()));
  return button;
});
panel.button.after(...examples);
document.getElementById("own-product").append(folded, own, panel.element);
