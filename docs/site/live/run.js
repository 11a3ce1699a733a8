// A page opened as a file cannot load modules or start a worker: then it says how to serve it.
(() => {
  const modules = document.currentScript.dataset.modules;
  if (location.protocol.startsWith("http")) return import(`./${modules}`);
  document.addEventListener("DOMContentLoaded", () => {
    const note = document.createElement("p");
    note.className = "offer";
    note.innerHTML = "The code of this page runs in the browser when the site is served: <code>refhf site</code>";
    document.querySelector("article h1")?.after(note);
  });
})();
