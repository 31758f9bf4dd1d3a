// What is wrong with the open page, by the rules for screens in cars. An empty list is a good page.
() => {
  const wrong = [];
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && getComputedStyle(element).visibility !== "hidden";
  };
  const name = (element) => `${element.tagName.toLowerCase()} "${element.textContent.trim().slice(0, 30)}"`;
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);

  const rgb = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number);
    return { r: parts[0], g: parts[1], b: parts[2], a: parts.length > 3 ? parts[3] : 1 };
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = rgb(getComputedStyle(one).backgroundColor);
      if (color.a > 0) return color;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((part) => {
      const value = part / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };

  const controls = all("button, a, input:not([type=hidden])");
  for (const control of controls) {
    const box = control.getBoundingClientRect();
    if (box.width < 76 || box.height < 76) wrong.push(`${name(control)}: ${box.width}x${box.height}, at least 76x76`);
    const words = control.labels && control.labels.length ? control.labels[0] : control;
    if (!words.textContent.trim()) wrong.push(`${name(control)}: no words`);
    if (control.closest("nav")) continue;
    const style = getComputedStyle(control);
    const edge = Math.max(contrast(rgb(style.borderTopColor), ground(control.parentElement)),
      contrast(ground(control), ground(control.parentElement)));
    if (edge < 3) wrong.push(`${name(control)}: stands out by ${edge.toFixed(2)}, at least 3`);
  }
  for (const button of all(".actions:not(.end) button, .actions:not(.end) a")) {
    const box = button.getBoundingClientRect();
    if (box.height < 96) wrong.push(`${name(button)}: ${box.height} high, at least 96`);
    if (parseFloat(getComputedStyle(button).fontSize) < 32) wrong.push(`${name(button)}: primary text below 32`);
    const others = button.closest(".actions").querySelectorAll("button, a").length;
    if (others < 3 && box.width < 320) wrong.push(`${name(button)}: ${box.width} wide, at least 320`);
  }
  controls.forEach((one, index) => controls.slice(index + 1).forEach((other) => {
    const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
    const gap = Math.max(a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom);
    if (gap < 15.5 && !one.closest(".card") === !other.closest(".card")
      && !(one.closest(".actions") && !other.closest(".actions"))
      && !(other.closest(".actions") && !one.closest(".actions"))) {
      wrong.push(`${name(one)} and ${name(other)}: ${gap} apart, at least 16`);
    }
  }));

  const walker = document.createTreeWalker(document.getElementById("screen"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (!words || !seen(parent) || parent.closest(".unseen")) continue;
    const style = getComputedStyle(parent);
    if (parseFloat(style.fontSize) < 24) wrong.push(`"${words.slice(0, 30)}": ${style.fontSize}, at least 24`);
    const ratio = contrast(rgb(style.color), ground(parent));
    if (ratio < 7) wrong.push(`"${words.slice(0, 30)}": contrast ${ratio.toFixed(2)}, at least 7`);
  }
  for (const title of all("h1")) {
    if (parseFloat(getComputedStyle(title).fontSize) < 32) wrong.push(`${name(title)}: title below 32`);
  }
  for (const block of all("p, li, dd, h1, h2, button, td, th")) {
    if (block.textContent.trim().length > 120) wrong.push(`${name(block)}: more than 120 characters`);
  }
  const actions = all("main button").filter((one) => one.dataset.action !== "update-later");
  if (actions.length > 2) wrong.push(`${actions.length} actions, at most 2`);
  if (all("h1").length + all(".charge-line").length !== 1) wrong.push("not exactly one headline");
  for (const icon of all("svg")) {
    if (icon.getAttribute("aria-hidden") !== "true") wrong.push("an icon is read aloud");
    if (!icon.parentElement.textContent.trim() && !icon.closest(".badge")) wrong.push("an icon without a word");
  }
  const screen = document.documentElement;
  if (screen.scrollWidth > innerWidth || screen.scrollHeight > innerHeight) wrong.push("the page itself scrolls");
  for (const card of all(".card, .ambient")) {
    if (card.scrollWidth > card.clientWidth + 1) wrong.push("the card scrolls sideways");
    const isDetail = card.querySelector("table"); // only while parked, and read at leisure
    if (!isDetail && card.scrollHeight > card.clientHeight + 1) wrong.push(`the card scrolls: ${card.scrollHeight} in ${card.clientHeight}`);
  }
  if (document.getAnimations().length) wrong.push("something moves");
  return wrong;
}
