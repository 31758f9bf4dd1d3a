// Keeps the open page in step with the agent. The page works without this file, only less promptly.
"use strict";

const LOST_AFTER_MS = 2000;
const SETTLE_MS = 400;
let lostTimer = 0;
let newest = 0;

// The browser tries again by itself; people are told only when it takes a while.
function setLost(isLost) {
  const lost = document.getElementById("lost");
  if (!isLost) {
    clearTimeout(lostTimer);
    lostTimer = 0;
    lost.hidden = true;
  } else if (!lostTimer) {
    lostTimer = setTimeout(() => { lost.hidden = false; }, LOST_AFTER_MS);
  }
}

async function refresh() {
  const mine = ++newest;
  const answer = await fetch(location.href, { headers: { "X-Okdrive-Fragment": "1" } });
  const html = await answer.text();
  if (mine !== newest) return; // a newer answer is under way
  if (!answer.ok) { location.assign("/"); return; }
  const parsed = document.createElement("template");
  parsed.innerHTML = html;
  swap(document.getElementById("screen"), parsed.content.firstElementChild);
}

function swap(current, next) {
  if (next.isEqualNode(current)) return;
  if (document.activeElement && document.activeElement.matches("input")) return; // somebody types
  const focused = document.activeElement && document.activeElement.id;
  if (next.dataset.card !== current.dataset.card) settle(next);
  current.replaceWith(next);
  const again = focused && document.getElementById(focused);
  if (again) again.focus();
}

// A finger that is already on its way must not answer a question it has not seen.
function settle(screen) {
  const buttons = [...screen.querySelectorAll("button")];
  for (const button of buttons) { button.disabled = true; button.classList.add("settling"); }
  setTimeout(() => {
    for (const button of buttons) { button.disabled = false; button.classList.remove("settling"); }
  }, SETTLE_MS);
}

function say(sentence) {
  document.getElementById("said").textContent = sentence;
}

async function send(form) {
  const screen = document.getElementById("screen");
  const body = new URLSearchParams(new FormData(form));
  for (const button of screen.querySelectorAll("button")) button.disabled = true;
  say(screen.dataset.working);
  try {
    const answer = await fetch(form.action, {
      method: "POST", body, headers: { Accept: "application/json" },
    });
    const said = await answer.json();
    if (answer.ok && said.next !== location.pathname) { location.assign(said.next); return; }
    await refresh();
    say(answer.ok ? "" : said.error.message);
  } catch {
    for (const button of screen.querySelectorAll("button")) button.disabled = false;
    say(document.querySelector("#lost p:last-child").textContent);
  }
}

function tick() {
  const clock = document.querySelector("[data-countdown]");
  if (!clock) return;
  const left = Math.max(Number(clock.dataset.countdown) - 1, 0);
  clock.dataset.countdown = left;
  clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}

document.addEventListener("submit", (event) => {
  if ("plain" in event.target.dataset) return;
  event.preventDefault();
  send(event.target);
});

const events = new EventSource("/api/events");
const catchUp = () => { refresh().catch(() => setLost(true)); };
events.onopen = () => { setLost(false); catchUp(); }; // it may be another agent with the same number
events.onerror = () => { setLost(true); };
events.onmessage = catchUp;
setInterval(tick, 1000);
