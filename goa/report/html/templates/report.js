"use strict";
(() => {
  const PAGE = 20;
  const { arms, best, examples } = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);

  const made = (tag, classes, ...children) => {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    element.append(...children);
    return element;
  };
  const points = (score) => (score === null ? "–" : score.toFixed(2));
  const signed = (delta) => {
    const text = Math.abs(delta).toFixed(2);
    return text === "0.00" ? text : (delta < 0 ? "−" : "+") + text;
  };

  // Printed, everything that is folded away is open, and folded again afterwards.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of folded) each.open = false;
  });

  if (!examples.length) return;

  // An example's texts and numbers, in the order of the lists that the page carries.
  const rows = examples.map(([id, source, references, outputs, scores]) => {
    const written = outputs.map((parts) => parts.filter((part) => part[0] !== "-").map((part) => part.slice(1)).join(""));
    const text = [id, source, ...references, ...written].join("\n").toLowerCase();
    return { id, source, references, outputs, scores, text };
  });
  const change = (row, arm) =>
    row.scores[arm] === null || row.scores[0] === null ? null : row.scores[arm] - row.scores[0];
  const differs = (row, arm) => row.outputs[arm].some((part) => part[0] !== "=");

  const ORDERS = {
    test: () => null,
    gain: (row, arm) => change(row, arm),
    loss: (row, arm) => { const delta = change(row, arm); return delta === null ? null : -delta; },
    high: (row, arm) => row.scores[arm],
    low: (row, arm) => (row.scores[arm] === null ? null : -row.scores[arm]),
  };

  const shown = new Set(arms.keys());
  let first = 0;
  let found = rows;

  const line = (name, content, classes) => {
    const value = made("dd", "", ...content);
    value.dir = "auto";
    return made("div", classes, made("dt", "", ...name), value);
  };

  const output = (row, arm) => {
    const delta = arm ? change(row, arm) : null;
    const name = [arms[arm], " ", made("span", "number", points(row.scores[arm]))];
    const way = delta > 0 ? "better" : delta < 0 ? "worse" : "";
    name.push(" ", made("span", `number ${way}`, delta === null ? "" : signed(delta)));
    const tags = { "+": "mark", "-": "del" };
    const content = row.outputs[arm].map((part) =>
      part[0] in tags ? made(tags[part[0]], "", part.slice(1)) : part.slice(1));
    return line(name, content.length ? content : [made("em", "", "(empty)")], "");
  };

  const example = (row) =>
    made("article", "example",
      made("h3", "", row.id),
      made("dl", "texts",
        line(["source"], [row.source], ""),
        ...row.references.map((reference) => line(["reference"], [reference], "")),
        ...[...arms.keys()].filter((arm) => shown.has(arm)).map((arm) => output(row, arm))));

  const render = () => {
    const last = Math.min(first + PAGE, found.length);
    at("examples").replaceChildren(...found.slice(first, last).map(example));
    at("status").textContent = found.length
      ? `${(first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${found.length.toLocaleString("en")} examples`
      : "No example has this text.";
    at("previous").disabled = first === 0;
    at("next").disabled = last >= found.length;
  };

  const look = () => {
    const wanted = at("search").value.trim().toLowerCase();
    const arm = Number(at("arm").value);
    const by = ORDERS[at("order").value];
    found = rows.filter((row) => row.text.includes(wanted) && (!at("changed").checked || differs(row, arm)));
    const keys = new Map(found.map((row) => [row, by(row, arm) ?? -Infinity]));
    // Sorting is stable: equal ones stay as in the test set.
    found.sort((a, b) => (keys.get(a) === keys.get(b) ? 0 : keys.get(b) > keys.get(a) ? 1 : -1));
    first = 0;
    render();
  };

  const turn = (step) => {
    first += step * PAGE;
    render();
    at("status").scrollIntoView({ block: "start" });
  };

  for (const [arm, name] of arms.entries()) {
    if (arm || arms.length === 1) at("arm").append(new Option(name, arm, false, name === best));
    const box = made("input", "");
    Object.assign(box, { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      if (box.checked) shown.add(arm);
      else shown.delete(arm);
      render();
    });
    at("shown").append(made("label", "", box, ` ${name}`));
  }
  for (const id of ["order", "arm", "changed"]) at(id).addEventListener("change", look);
  at("search").addEventListener("input", look);
  at("previous").addEventListener("click", () => turn(-1));
  at("next").addEventListener("click", () => turn(1));
  document.querySelector("#explorer form").addEventListener("submit", (event) => event.preventDefault());

  document.documentElement.classList.add("scripted");
  at("explorer").hidden = false;
  look();
})();
