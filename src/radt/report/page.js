"use strict";
// Draws the curves of every card from the numbers in the page, and again when a button is pressed or the colours of the page change.
const numbers = JSON.parse(document.getElementById("numbers").textContent);
const darkness = matchMedia("(prefers-color-scheme: dark)");
const names = { held_out: "held-out tasks", unseen: "unseen levels", train: "training tasks", validation: "validation tasks" };

const shown = (value) => (value === null ? "" : value.toFixed(Math.abs(value) >= 10 ? 1 : 2));

// The rows of columns for which `keep` holds.
function rows(columns, keep) {
  const keys = Object.keys(columns);
  return columns[keys[0]].map((_, place) => Object.fromEntries(keys.map((key) => [key, columns[key][place]]))).filter(keep);
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function translucent(colour, alpha) {
  const parts = [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));
  return `rgba(${parts.join(",")},${alpha})`;
}

// A point of a curve in words.
function told(row, measure) {
  return shown(row[measure]) + (measure === "mean" && row.low !== null ? ` (${shown(row.low)} to ${shown(row.high)})` : "");
}

// What a card shows, by its buttons.
function stateOf(card) {
  const pressed = (kind) => card.querySelector(`button[data-${kind}][aria-pressed="true"]`);
  const lines = new Set([...card.querySelectorAll('button[data-line][aria-pressed="true"]')].map((button) => button.dataset.line));
  const split = pressed("split")?.dataset.split ?? card.dataset.split;
  return { own: numbers[card.dataset.experiment], split, measure: pressed("measure")?.dataset.measure ?? "mean", lines };
}

function grouped(all, key) {
  const found = new Map();
  for (const row of all) found.set(row[key], [...(found.get(row[key]) ?? []), row]);
  return found;
}

// The curves that a card shows: rows by method.
function curvesOf({ own, split, lines }) {
  return grouped(rows(own.curves, (row) => row.split === split && lines.has(row.method)), "method");
}

function line(x, y, colour, width, dashes, more) {
  const dash = dashes.length ? dashes.map((part) => `${part * Math.max(width, 1.2)}px`).join(",") : "solid";
  return { x, y, type: "scatter", mode: "lines", line: { color: colour, width, dash }, showlegend: false, ...more };
}

function tracesOf(state) {
  const { own, split, measure, lines } = state;
  const returns = measure === "mean", bands = [], thin = [], thick = [], models = new Set();
  for (const [method, points] of curvesOf(state)) {
    const look = own.looks[method], colour = darkness.matches ? look.dark : look.light, x = points.map((row) => row.episode);
    const banded = returns && lines.has("*interval") && points[0].low !== null;
    if (banded) {
      const edge = [...points.map((row) => row.high), ...points.map((row) => row.low).reverse()];
      bands.push({ x: [...x, ...[...x].reverse()], y: edge, type: "scatter", mode: "lines", line: { width: 0 }, fill: "toself",
        fillcolor: translucent(colour, 0.14), hoverinfo: "skip", showlegend: false });
    }
    const runs = returns && lines.has("*runs") ? rows(own.runs, (row) => row.method === method && row.split === split) : [];
    for (const run of grouped(runs, "seed").values()) {
      thin.push(line(run.map((row) => row.episode), run.map((row) => row.return), translucent(colour, 0.6), 0.8, [], { hoverinfo: "skip" }));
    }
    const seeds = grouped(runs, "episode"), single = (row) => seeds.get(row.episode)?.map((one) => shown(one.return)).join(", ");
    const known = points.filter((row) => row.paper !== null);
    if (returns && lines.has("*paper") && known.length && !models.has(points[0].model)) {
      models.add(points[0].model);
      thin.push(line(known.map((row) => row.episode), known.map((row) => row.paper), colour, 1, look.dashes,
        { name: `${look.name}, paper`, text: known.map((row) => shown(row.paper)),
          hovertemplate: `${look.name}, paper: %{text}<extra></extra>` }));
    }
    thick.push(line(x, points.map((row) => row[measure]), colour, look.thin ? 1.2 : 2.4, look.dashes,
      { name: look.name, text: points.map((row) => told(row, measure) + (single(row) ? `, seeds ${single(row)}` : "")),
        hovertemplate: `<b>${look.name}</b>: %{text}<extra></extra>` }));
  }
  const optimum = rows(own.curves, (row) => row.split === split)[0].optimum, last = Math.max(...own.curves.episode);
  if (returns && lines.has("*optimum") && optimum !== null) {
    thin.push(line([1, last], [optimum, optimum], css("--soft"), 1, [], { name: "Best possible", hoverinfo: "skip" }));
  }
  thin.forEach((trace) => { trace.zorder = 1; });
  thick.forEach((trace, place) => { trace.zorder = 100 - place; });
  return [...bands, ...thick, ...thin];
}

function layoutOf({ own, measure }, narrow) {
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), automargin: true };
  const last = Math.max(...own.curves.episode), step = last <= 10 ? 1 : last <= 50 ? (narrow ? 10 : 5) : 10 * Math.ceil(last / 50);
  const ticks = [...new Set([1, ...Array.from({ length: Math.floor(last / step) }, (_, place) => (place + 1) * step)])];
  return {
    margin: { l: 50, r: 12, t: 8, b: 44 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13, color: css("--text") },
    hovermode: narrow ? "closest" : "x unified", hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--text") } },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: { ...axis, title: { text: "In-context episode" }, tickvals: ticks, hoverformat: "d", unifiedhovertitle: { text: "Episode %{x}" } },
    yaxis: { ...axis, title: { text: measure === "mean" ? "Mean return" : "Share of episodes that succeed" },
      rangemode: measure === "mean" && Math.min(...own.curves.mean) < 0 ? "normal" : "tozero" },
  };
}

// In words: where every line begins and ends.
function described(card, state) {
  const what = state.measure === "mean" ? "mean return" : "share of episodes that succeed";
  const ends = [...curvesOf(state)].map(([method, points]) =>
    `${state.own.looks[method].name} from ${shown(points[0][state.measure])} to ${shown(points.at(-1)[state.measure])}`);
  return `${state.own.title}, ${names[state.split]}: ${what} from the first to the last in-context episode. ${ends.join(", ")}.`;
}

function cell(kind, text, scope) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (scope) made.scope = scope;
  return made;
}

// The numbers of the plot as a table; made when it is opened, since all of them together are long.
function tabulate(card) {
  const state = stateOf(card), { own, measure } = state, curves = [...curvesOf(state)];
  const table = document.createElement("table"), head = table.createTHead().insertRow();
  head.append(cell("th", "Episode", "col"));
  const columns = [], models = new Set();
  for (const [method, points] of curves) {
    const name = own.looks[method].name;
    columns.push([name, points.map((row) => told(row, measure))]);
    if (measure === "mean" && points.some((row) => row.paper !== null) && !models.has(points[0].model)) {
      models.add(points[0].model);
      columns.push([`${name}, paper`, points.map((row) => shown(row.paper))]);
    }
  }
  head.append(...columns.map(([name]) => cell("th", name, "col")));
  const body = table.createTBody();
  (curves[0]?.[1] ?? []).forEach((row, place) => {
    body.insertRow().append(cell("th", row.episode, "row"), ...columns.map(([, values]) => cell("td", values[place])));
  });
  card.querySelector(".data .scroll").replaceChildren(table);
}

function draw(card) {
  const state = stateOf(card), plot = card.querySelector(".plot");
  plot.setAttribute("aria-label", described(card, state));
  Plotly.react(plot, tracesOf(state), layoutOf(state, card.clientWidth < 640), { displayModeBar: false, responsive: true });
  for (const table of card.querySelectorAll(".methods")) table.hidden = table.dataset.split !== state.split;
  if (card.querySelector(".data").open) tabulate(card);
}

const cards = [...document.querySelectorAll(".card")];
for (const card of cards) {
  card.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || button.closest(".gallery")) return;
    const group = button.closest(".choice");
    if (group) group.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    else button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    draw(card);
  });
  card.querySelector(".data").addEventListener("toggle", (event) => event.target.open && tabulate(card));
  draw(card);
}
darkness.addEventListener("change", () => cards.forEach(draw));
