// Keeps the open page in step with the agent. The page works without this file, only less promptly.
"use strict";

const LOST_AFTER_MS = 2000;
let lostTimer = 0;
let newest = 0;

function setLost(isLost) {
  clearTimeout(lostTimer);
  if (isLost) {
    lostTimer = setTimeout(() => { document.getElementById("lost").hidden = false; }, LOST_AFTER_MS);
  } else {
    document.getElementById("lost").hidden = true;
  }
}

async function refresh() {
  const mine = ++newest;
  const answer = await fetch(location.href, { headers: { "X-Okdrive-Fragment": "1" } });
  const html = await answer.text();
  if (mine !== newest) return; // a newer answer is under way
  if (!answer.ok) { location.assign("/"); return; }
  const focused = document.activeElement && document.activeElement.id;
  document.getElementById("screen").outerHTML = html;
  const again = focused && document.getElementById(focused);
  if (again) again.focus();
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
events.onopen = () => { setLost(false); };
events.onerror = () => { setLost(true); };
events.onmessage = () => { refresh().catch(() => setLost(true)); };
setInterval(tick, 1000);
