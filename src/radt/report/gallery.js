// Shows recorded episodes step by step: the way through the room, or the reward of each step, and what the agent reads meanwhile.
const recorded = JSON.parse(document.getElementById("episodes").textContent);
const choices = ["method", "seed", "task", "episode"];

function shape(kind, values, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// A line through cells, each border between two of them once: dashes that lie on each other would look like no dashes.
function dashed(cells, spot) {
  const seen = new Set();
  const pieces = cells.slice(1).map((to, place) => [cells[place], to]).map(([from, to]) => {
    const edge = `${Math.min(from, to)} ${Math.max(from, to)}`, drawn = seen.has(edge) || from === to;
    seen.add(edge);
    return `${drawn ? "M" : "L"}${spot(to).join(",")}`;
  });
  const way = `M${spot(cells[0]).join(",")}${pieces.join("")}`;
  return shape("path", { class: "earlier", d: way, "stroke-width": 0.14, "stroke-dasharray": "0.3 0.2" });
}

// A line through points; dashes and width are in the units of the drawing.
function polyline(kind, points, width, dash) {
  const values = { class: kind, points: points.map((point) => point.join(",")).join(" "), "stroke-width": width };
  return shape("polyline", dash ? { ...values, "stroke-dasharray": dash } : values);
}

function option([value, text]) {
  const made = document.createElement("option");
  [made.value, made.textContent] = [value, text];
  return made;
}

// Offers options and keeps what is chosen, if it is among them; else the one at `place`.
function offer(select, options, place) {
  const before = select.value;
  select.replaceChildren(...options.map(option));
  select.value = options.some(([value]) => String(value) === before) ? before : options.at(place)[0];
}

// What stands for the name of a mark: its number, or its first letter.
const letter = (name) => /\d+$/.exec(name)?.[0] ?? name[0].toUpperCase();
const number = (value) => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4))));

class Gallery {
  constructor(place) {
    this.place = place;
    this.files = recorded[place.dataset.experiment];
    this.looks = numbers[place.dataset.experiment].looks;
    this.select = Object.fromEntries(choices.map((name) => [name, place.querySelector(`[data-choice="${name}"]`)]));
    this.slider = place.querySelector("input");
    for (const select of Object.values(this.select)) select.addEventListener("change", () => this.choose());
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    for (const button of place.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => this.go(this.step + Number(button.dataset.go)));
    }
    place.addEventListener("keydown", (event) => this.press(event));
    this.choose();
  }

  // Fills the lists, each by what is chosen before it, and goes to the first step.
  choose() {
    const { method, seed, task, episode } = this.select;
    const methods = [...new Set(this.files.map((file) => file.method))];
    offer(method, methods.map((name) => [name, this.looks[name].name]), Math.max(0, methods.indexOf("radt")));
    const seeds = this.files.filter((file) => file.method === method.value);
    offer(seed, seeds.map((file) => [file.seed, file.seed]), 0);
    this.file = seeds.find((file) => String(file.seed) === seed.value);
    offer(task, this.file.tasks.map((own) => [own.task, `${own.task}, ${own.split.replace("_", "-")}`]), 0);
    this.task = this.file.tasks.find((own) => String(own.task) === task.value);
    const named = (place) => [place, `${place + 1} of ${this.task.returns.length}, return ${number(this.task.returns[place])}`];
    offer(episode, this.task.shown.map(named), -1);
    this.episode = this.task.episodes[episode.value];
    this.slider.max = this.episode.rewards.length;
    this.place.querySelector(".agreed").textContent = this.file.as_evaluated
      ? "Played again after the evaluation, with the same returns in all its tasks and episodes."
      : "Played again after the evaluation, on another machine or device: some returns are not those of the evaluation.";
    this.go(0);
  }

  press(event) {
    if (event.target.closest("select, input, .scroll") || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.episode.rewards.length;
    const to = { ArrowLeft: this.step - 1, ArrowRight: this.step + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.go(to);
  }

  go(step) {
    this.step = Math.min(Math.max(step, 0), this.episode.rewards.length);
    this.part = 0;
    this.show();
  }

  // What is read at this step, best first.
  get read() {
    return this.episode.read.filter(([step]) => step <= this.step).at(-1)?.[1] ?? [];
  }

  show() {
    const told = this.told();
    this.slider.value = this.step;
    this.slider.setAttribute("aria-valuetext", told.split(".")[0]);
    this.place.querySelector(".now").textContent = told;
    this.tabulate();
    this.draw();
  }

  where(cell) {
    const { width } = this.task.room;
    return `column ${(cell % width) + 1}, row ${Math.floor(cell / width) + 1}`;
  }

  // The present step in words.
  told() {
    const { rewards, actions, cells } = this.episode, at = this.task.room ? ` at ${this.where(cells[this.step])}` : "";
    const soFar = `Return ${number(rewards.slice(0, this.step).reduce((sum, one) => sum + one, 0))}`;
    if (this.step === rewards.length) return `End of the episode${at}. ${soFar}.`;
    const action = actions[this.step], name = this.file.actions[action[0]] ?? action.map(number).join(", ");
    return `Step ${this.step + 1} of ${rewards.length}${at}. ${soFar} so far. Action ${name}, reward ${number(rewards[this.step])}.`;
  }

  tabulate() {
    const place = this.place.querySelector(".scroll"), read = this.read;
    if (!read.length) {
      place.replaceChildren(cell("p", this.task.shown.some((one) => this.task.episodes[one].read.length)
        ? "Nothing is read here: the memory has too little yet." : "This method looks nothing up."));
      return;
    }
    const table = document.createElement("table"), head = table.createTHead().insertRow();
    const caption = cell("p", "Read at this step, best first. Press a row to draw it.");
    caption.className = "caption";
    head.append(...["Episode", "Steps", "Similarity", "Return", "Score"].map((name) => cell("th", name, "col")));
    const body = table.createTBody();
    read.forEach(([episode, first, end, similarity, score], place) => {
      const row = body.insertRow(), name = cell("th", "", "row"), button = cell("button", String(episode + 1));
      button.type = "button";
      button.setAttribute("aria-pressed", String(place === this.part));
      button.setAttribute("aria-label", `Draw what is read of episode ${episode + 1}`);
      name.append(button);
      row.append(name, ...[`${first + 1} to ${end}`, similarity.toFixed(3), number(this.task.returns[episode]), score.toFixed(2)]
        .map((text) => cell("td", text)));
      row.addEventListener("click", () => { this.part = place; this.show(); this.place.querySelectorAll("tbody button")[place].focus(); });
    });
    place.replaceChildren(caption, table);
  }

  // The part that is drawn: an earlier episode, its first step and the step after its last.
  get earlier() {
    const chosen = this.read[this.part];
    return chosen && { number: chosen[0], first: chosen[1], end: chosen[2], episode: this.task.episodes[chosen[0]] };
  }

  draw() {
    const figure = this.place.querySelector("figure"), svg = figure.querySelector("svg"), earlier = this.earlier;
    const read = earlier ? ` Dashed: steps ${earlier.first + 1} to ${earlier.end} of episode ${earlier.number + 1}, which it reads.` : "";
    const marks = this.task.room?.marks.map(([name, at]) => `, ${name} at ${this.where(at)}`).join("");
    const what = this.task.room ? `Room of ${this.task.room.width} by ${this.task.room.height} cells${marks}` : "Reward of each step";
    svg.setAttribute("aria-label", `${what}. ${this.told()}${read}`);
    svg.replaceChildren(...(this.task.room ? this.room(svg) : this.plot(svg)));
    svg.setAttribute("aria-label", `${what}. ${this.told()}${read}`);
    svg.replaceChildren(...(this.task.room ? this.room(svg) : this.plot(svg)));
    this.explain(figure.querySelector("figcaption"), earlier);
  }

  // What the lines and signs of the drawing are.
  explain(caption, earlier) {
    const keys = [["way", "this episode so far"], ["way later", "still to come"]];
    if (earlier) keys.push(["earlier", "what is read", true]);
    const marks = this.task.room?.marks.map(([name]) => `◆ ${letter(name)}: ${name}, hidden`);
    const signs = marks ? [...(earlier ? ["○ its last cell"] : []), "● agent", "□ start", ...marks] : ["● this step"];
    caption.replaceChildren(...keys.map(([kind, text, dashes]) => {
      const key = document.createElement("span"), swatch = shape("svg", { viewBox: "0 0 36 16", "aria-hidden": "true" });
      swatch.append(polyline(kind, [[2, 8], [34, 8]], 4, dashes && "8 5"));
      key.append(swatch, text);
      return key;
    }), ...signs.map((text) => cell("span", text)));
  }

  // From above; what is read lies a little beside the way, so that both are seen where they meet.
  room(svg) {
    const { width, height, walls, marks } = this.task.room, { cells } = this.episode, earlier = this.earlier;
    const spot = (at, shift = 0) => [(at % width) + 0.5 + shift, Math.floor(at / width) + 0.5 + shift];
    svg.setAttribute("viewBox", `-0.1 -0.1 ${width + 0.2} ${height + 0.2}`);
    const parts = [shape("rect", { class: "ground", width, height, "stroke-width": 0.1 })];
    for (let x = 1; x < width; x += 1) parts.push(shape("line", { class: "grid", x1: x, x2: x, y1: 0, y2: height }));
    for (let y = 1; y < height; y += 1) parts.push(shape("line", { class: "grid", x1: 0, x2: width, y1: y, y2: y }));
    for (const at of walls) parts.push(shape("rect", { class: "wall", x: at % width, y: Math.floor(at / width), width: 1, height: 1 }));
    const [left, top] = spot(cells[0]);
    parts.push(shape("rect", { class: "start", x: left - 0.4, y: top - 0.4, width: 0.8, height: 0.8, "stroke-width": 0.08 }));
    for (const [name, at] of marks) {
      const [x, y] = spot(at);
      parts.push(shape("polygon", { class: "mark", points: `${x},${y - 0.48} ${x + 0.48},${y} ${x},${y + 0.48} ${x - 0.48},${y}` }),
        shape("text", { class: "letter", x, y: y + 0.16, "font-size": 0.46, "text-anchor": "middle" }, letter(name)));
    }
    parts.push(polyline("way later", cells.slice(this.step).map((at) => spot(at)), 0.12));
    parts.push(polyline("way", cells.slice(0, this.step + 1).map((at) => spot(at)), 0.16));
    if (earlier) {
      const read = earlier.episode.cells.slice(earlier.first, earlier.end + 1), [right, bottom] = spot(read.at(-1), 0.17);
      parts.push(dashed(read, (at) => spot(at, 0.17)));
      parts.push(shape("circle", { class: "earlier end", cx: right, cy: bottom, r: 0.16, "stroke-width": 0.1 }));
    }
    const [x, y] = spot(cells[this.step]);
    return [...parts, shape("circle", { class: "agent", cx: x, cy: y, r: 0.3, "stroke-width": 0.06 })];
  }

  // The reward of each step, and that of the part that is read.
  plot(svg) {
    const { rewards } = this.episode, earlier = this.earlier, [wide, high, left, low] = [360, 200, 44, 22];
    const others = earlier ? earlier.episode.rewards : [], least = Math.min(0, ...rewards, ...others);
    const most = Math.max(least + 1e-9, ...rewards, ...others), last = Math.max(rewards.length, others.length) - 1 || 1;
    const spot = (step, value) => [left + ((wide - left - 8) * step) / last, high - low - ((high - low - 10) * (value - least)) / (most - least)];
    const points = rewards.map((value, step) => spot(step, value)), at = Math.min(this.step, rewards.length - 1), [x, y] = points[at];
    svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    const parts = [
      shape("rect", { class: "ground", x: left, y: 10, width: wide - left - 8, height: high - low - 10 }),
      shape("text", { class: "soft", x: left - 4, y: 18, "font-size": 11, "text-anchor": "end" }, number(most)),
      shape("text", { class: "soft", x: left - 4, y: high - low, "font-size": 11, "text-anchor": "end" }, number(least)),
      shape("text", { class: "soft", x: left, y: high - 6, "font-size": 11 }, "Step 1"),
      shape("text", { class: "soft", x: wide - 8, y: high - 6, "font-size": 11, "text-anchor": "end" }, `Step ${last + 1}`),
      shape("text", { class: "soft", x: (left + wide) / 2, y: high - 6, "font-size": 11, "text-anchor": "middle" }, "Reward of each step"),
      polyline("way later", points.slice(at), 2),
      polyline("way", points.slice(0, at + 1), 2.5),
    ];
    if (earlier) {
      const read = others.slice(earlier.first, earlier.end).map((value, step) => spot(earlier.first + step, value));
      parts.push(polyline("earlier", read, 2.5, "6 4"));
    }
    return [...parts, shape("circle", { class: "agent", cx: x, cy: y, r: 5, "stroke-width": 1.5 })];
  }
}

document.querySelectorAll(".gallery").forEach((place) => new Gallery(place));
