// The theme opens its drawers by labels, which a keyboard does not reach: they become buttons.
document.addEventListener("DOMContentLoaded", () => {
  for (const label of document.querySelectorAll("label[for=__navigation], label[for=__toc]")) {
    if (label.classList.contains("overlay")) continue;
    const toggle = document.getElementById(label.htmlFor);
    label.tabIndex = 0;
    label.setAttribute("role", "button");
    label.setAttribute("aria-label", toggle.getAttribute("aria-label"));
    label.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle.click();
    });
  }
});
