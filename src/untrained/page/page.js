// The page: theme, tables, and what can be explored.

const root = document.documentElement;

function remembered(theme) {
  try {
    if (theme) localStorage.setItem("untrained-theme", theme);
    return localStorage.getItem("untrained-theme");
  } catch {
    return null; // a browser may forbid it to files
  }
}

function themes() {
  const button = document.getElementById("theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme || (system.matches ? "dark" : "light");
  const say = () => {
    button.textContent = now() === "dark" ? "Light theme" : "Dark theme";
    for (const host of document.querySelectorAll(".explorer")) if (host.explorer) host.explorer.repaint();
  };
  const kept = remembered();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    remembered(root.dataset.theme);
    say();
  });
  system.addEventListener("change", say);
  say();
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

async function explorers() {
  for (const host of document.querySelectorAll(".explorer")) {
    if (typeof DecompressionStream === "undefined") {
      host.append(el("p", { className: "note", textContent: "This browser is too old to show single architectures; the tables are complete." }));
      continue;
    }
    new Explorer(host, await unpacked(host.nextElementSibling.textContent));
  }
  root.dataset.ready = "yes";
}

themes();
document.querySelectorAll("table.sortable").forEach(sortable);
explorers();
