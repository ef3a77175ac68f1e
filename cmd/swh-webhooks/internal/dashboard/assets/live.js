// What is new, without a reload. Everything else works without this script.
"use strict";

const maxRows = 200;

// Rows of deliveries that appear.
const live = document.getElementById("live");
if (live && live.dataset.source) {
  const rows = document.getElementById("rows");
  const word = live.querySelector(".word");
  const button = live.querySelector("button");
  let held = []; // while the list is paused
  const say = (state, text) => { live.className = "live " + state; word.textContent = text; };
  const paused = () => button.getAttribute("aria-pressed") === "true";
  const add = (html) => {
    const shape = document.createElement("template");
    shape.innerHTML = html;
    const row = shape.content.firstElementChild;
    if (!row || document.getElementById(row.id)) return;
    row.classList.add("new");
    rows.prepend(row);
    while (rows.children.length > maxRows) rows.lastElementChild.remove();
    document.getElementById("empty")?.remove();
  };
  live.hidden = false;
  const source = new EventSource(live.dataset.source);
  source.onopen = () => say("on", "live");
  source.onerror = () => say("off", source.readyState === EventSource.CLOSED ? "not live" : "reconnecting");
  source.onmessage = (event) => {
    if (!paused()) return add(event.data);
    held.push(event.data);
    if (held.length > maxRows) held.shift();
    button.textContent = "Go on (" + held.length + ")";
  };
  source.addEventListener("end", (event) => { source.close(); say("off", event.data); });
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!paused()));
    button.textContent = "Pause";
    if (paused()) { button.textContent = "Go on"; return; }
    held.forEach(add);
    held = [];
  });
}

// Numbers and charts that change.
const main = document.getElementById("main");
const seconds = Number(main?.dataset.refresh);
if (seconds > 0) {
  const refresh = async () => {
    if (document.hidden) return;
    const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.querySelector(`[data-live="${old.dataset.live}"]`);
      if (fresh && fresh.innerHTML !== old.innerHTML && !old.contains(document.activeElement) && !old.querySelector("details[open]")) old.replaceChildren(...fresh.childNodes);
    }
    const footer = document.querySelector("footer span"), now = page.querySelector("footer span");
    if (footer && now) footer.textContent = now.textContent;
  };
  setInterval(() => refresh().catch(() => {}), seconds * 1000);
}
