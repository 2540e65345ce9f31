// Architectures of one space: filters above, a scatter plot with what is pointed at beside it, a table below.

let numbered = 0;

function labelled(text, control) {
  control.id = `control-${++numbered}`;
  return el("div", { className: "field" }, el("label", { htmlFor: control.id, textContent: text }), control);
}

const truth = (column) => column.kind === "truth";

function choice(options, chosen) {
  const found = el("select");
  for (const [value, text] of options) found.append(el("option", { value, textContent: text }));
  if (chosen !== undefined) found.value = chosen;
  return found;
}

class Explorer {
  constructor(host, data) {
    Object.assign(this, { host, data });
    host.explorer = this;
    this.floats = new Map();
    this.hasCells = data.cells.of.some((cell) => cell >= 0);
    this.controls();
    this.plot = el("div", { className: "plot" });
    this.panel = el("aside", { className: "panel" });
    this.panel.setAttribute("aria-live", "polite");
    this.status = el("p", { className: "status" });
    this.status.setAttribute("role", "status");
    this.legend = el("div", { className: "shade" });
    this.csv = el("button", { type: "button", className: "csv", onclick: () => this.download() });
    const below = el("div", { className: "rows" });
    host.append(this.status, el("div", { className: "look" }, el("div", {}, this.plot, this.bar), this.panel), below);
    this.scatter = new Scatter(this.plot, (i) => this.tell(i));
    this.grid = new Grid(below, data, (i) => {
      this.scatter.pinned = true;
      this.scatter.select(i);
    });
    below.lastChild.append(this.all, this.csv);
    host.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
    if (truth(data.columns[this.y.value])) this.grid.sort = [Number(this.y.value), data.columns[this.y.value].higher ? -1 : 1];
    this.tell(-1);
    this.update();
  }

  controls() {
    const { columns, cells } = this.data;
    const names = columns.map((column, k) => [k, column.name]);
    const known = columns.findIndex(truth);
    const first = columns.findIndex((column) => column.kind === "proxy");
    const params = columns.findIndex((column) => column.name === "params");
    const second = columns.findIndex((column, k) => k !== first && column.values.some((value) => value !== null));
    const log = (title) => el("input", { type: "checkbox", title });
    this.x = choice(names, first);
    this.y = choice(names, known >= 0 ? known : second >= 0 ? second : first);
    this.paint = choice([[-1, "nothing"], ...names], params);
    [this.xLog, this.yLog, this.paintLog] = [log("x on a log scale"), log("y on a log scale"), log("colour on a log scale")];
    this.paintLog.checked = params >= 0;
    this.text = el("input", { type: "search", placeholder: "part of its text", spellcheck: false });
    this.ranged = choice(names, params >= 0 ? params : first);
    this.low = el("input", { type: "number", step: "any", placeholder: "from" });
    this.high = el("input", { type: "number", step: "any", placeholder: "to" });
    this.low.setAttribute("aria-label", "from");
    this.high.setAttribute("aria-label", "to");
    this.state = choice([["", "any"], ["defined", "defined"], ["undefined", "undefined"]]);
    const operations = [...new Set(cells.boxes.filter((box) => !["end", "join"].includes(box[2])).map((box) => box[0]))].sort();
    this.operation = choice([
      ["", "any"], ...operations.map((name) => ["+" + name, `with ${name}`]), ...operations.map((name) => ["-" + name, `without ${name}`]),
    ]);
    this.all = el("label", { className: "check" }, el("input", { type: "checkbox" }), " all columns");
    const beside = (control, box) => {
      const field = labelled(control[0], control[1]);
      field.append(el("label", { className: "check" }, box, " log"));
      return field;
    };
    const axes = el("fieldset", { className: "axes" }, el("legend", { textContent: "Plot" }),
      beside(["x", this.x], this.xLog), beside(["y", this.y], this.yLog), beside(["colour", this.paint], this.paintLog));
    const range = labelled("range of", this.ranged);
    range.append(this.low, this.high);
    range.classList.add("range");
    this.clear = el("button", { type: "button", textContent: "Clear", onclick: () => this.reset() });
    const filters = el("fieldset", { className: "filters" }, el("legend", { textContent: "Show only" }),
      labelled("architecture", this.text), range, labelled("value of x", this.state));
    if (this.hasCells) filters.append(labelled("operation", this.operation));
    filters.append(this.clear);
    this.host.append(axes, filters);
    const act = (text, title, onclick) => {
      const button = el("button", { type: "button", textContent: text, title, onclick });
      button.setAttribute("aria-label", title);
      return button;
    };
    this.shade = el("span", { className: "shade" });
    this.bar = el("div", { className: "bar" },
      act("+", "zoom in", () => this.scatter.zoom(0.7)), act("−", "zoom out", () => this.scatter.zoom(1 / 0.7)),
      act("Whole", "show everything", () => (this.scatter.whole(), this.scatter.draw())), this.shade);
    const chosen = (event) => event.target.matches("select, [type=checkbox]");
    this.host.addEventListener("change", (event) => chosen(event) && this.update());
    this.host.addEventListener("input", (event) => chosen(event) || this.update());
  }

  // A column as numbers, or their logarithms; NaN where there is none.
  numbers(k, log) {
    const key = `${k} ${log}`;
    if (!this.floats.has(key)) {
      const values = Float64Array.from(this.data.columns[k].values, (v) => (v === null ? NaN : log ? (v > 0 ? Math.log10(v) : NaN) : v));
      this.floats.set(key, values);
    }
    return this.floats.get(key);
  }

  filtered() {
    const { archs, columns, cells } = this.data, needle = this.text.value.trim().toLowerCase();
    const x = columns[this.x.value], ranged = columns[this.ranged.value].values;
    const low = this.low.value === "" ? -Infinity : Number(this.low.value);
    const high = this.high.value === "" ? Infinity : Number(this.high.value);
    const bounded = low !== -Infinity || high !== Infinity, state = this.state.value, wanted = this.operation.value;
    const named = new Set(cells.boxes.flatMap((box, k) => (box[0] === wanted.slice(1) ? [k] : [])));
    const has = wanted && cells.cells.map((cell) => cell.some((box, k) => k && named.has(box)) === (wanted[0] === "+"));
    const found = [];
    for (let i = 0; i < archs.length; i++) {
      if (needle && !archs[i].toLowerCase().includes(needle)) continue;
      if (bounded && !(ranged[i] !== null && ranged[i] >= low && ranged[i] <= high)) continue;
      if (state && (x.values[i] !== null) !== (state === "defined")) continue;
      if (wanted && !has[cells.of[i]]) continue;
      found.push(i);
    }
    return found;
  }

  update() {
    const { columns, archs } = this.data, x = Number(this.x.value), y = Number(this.y.value), paint = Number(this.paint.value);
    const xs = this.numbers(x, this.xLog.checked), ys = this.numbers(y, this.yLog.checked);
    const why = columns[x].why, skipped = columns[x].reasons.indexOf(truth(columns[x]) ? "no truth" : "not scored");
    const undefinedAt = (i) => columns[x].values[i] === null && !(why && why[i] === skipped);
    const shown = this.filtered();
    const count = (test) => shown.reduce((n, i) => n + (test(i) ? 1 : 0), 0);
    const strip = count((i) => undefinedAt(i) && ys[i] === ys[i]);
    const away = count((i) => ys[i] !== ys[i] || (xs[i] !== xs[i] && !undefinedAt(i)));
    this.shown = shown;
    const say = (n) => n.toLocaleString("en");
    this.status.textContent = `${say(shown.length)} of ${say(archs.length)} shown` +
      (strip ? `, ${say(strip)} of them without a value of ${columns[x].name}, in the strip at the left` : "") +
      (away ? `; ${say(away)} cannot be placed (no value of ${columns[y].name}${this.xLog.checked || this.yLog.checked ? ", or none above zero" : ""})` : "") + ".";
    const name = (k, log) => columns[k].name + (columns[k].unit ? ` (${columns[k].unit})` : "") + (log ? ", log scale" : "");
    const colour = paint >= 0 ? this.numbers(paint, this.paintLog.checked) : null;
    this.scatter.pinned = false;
    this.scatter.over.setAttribute("aria-label",
      `${columns[y].name} over ${columns[x].name}. Arrow keys move between points, Enter keeps one, plus, minus and 0 zoom, Escape closes.`);
    this.scatter.show({ x: xs, y: ys, colour, shown, undefinedAt, hasUndefined: columns[x].values.some((_, i) => undefinedAt(i)),
      xLog: this.xLog.checked, yLog: this.yLog.checked, xName: name(x, this.xLog.checked), yName: name(y, this.yLog.checked) });
    this.drawShade(colour, paint);
    const every = this.all.firstChild.checked, usual = [y, x, ...(paint >= 0 ? [paint] : [])];
    this.grid.columns(every ? columns.map((_, k) => k) : [...new Set(usual)]);
    this.grid.show(shown);
    this.csv.textContent = `Download ${say(shown.length)} rows as CSV`;
  }

  drawShade(colour, paint) {
    this.shade.replaceChildren();
    if (!colour) return;
    const dark = getComputedStyle(this.host).getPropertyValue("--scheme").trim() === "dark";
    const [low, high] = extent(colour), room = (high - low) * (0.03 / 1.06), text = (v) => shownNumber(Number((this.paintLog.checked ? 10 ** v : v).toPrecision(3)));
    const strip = svg("svg", { viewBox: `0 0 ${SHADES} 4`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (let k = 0; k < SHADES; k++) svg("rect", { x: k, y: 0, width: 1.1, height: 4, fill: ramp(k / (SHADES - 1), dark) }, strip);
    this.shade.append(`${this.data.columns[paint].name} ${text(low + room)} `, strip, ` ${text(high - room)}`);
  }

  tell(i) {
    const { archs, columns, cells } = this.data;
    this.panel.replaceChildren();
    if (this.grid) this.grid.mark(i);
    if (i < 0) {
      this.panel.append(el("p", { className: "note", textContent: "Point at an architecture to see it here. A click keeps it; a rectangle drawn with the mouse zooms in." }));
      return;
    }
    const close = el("button", { type: "button", className: "close", textContent: "×", onclick: () => this.close() });
    close.setAttribute("aria-label", "close");
    this.panel.append(close, el("p", { className: "arch", textContent: archs[i] }));
    const cell = cellOf(cells, i);
    if (cell) {
      const drawing = drawCell(cell);
      this.panel.append(el("div", { className: Number(drawing.getAttribute("width")) > 700 ? "drawing large" : "drawing", tabIndex: -1 }, drawing));
    } else this.panel.append(el("p", { className: "note", textContent: "Its cell is too large to be drawn, or not known." }));
    const list = el("dl");
    const chosen = [this.y.value, this.x.value, this.paint.value].map(Number);
    const few = columns.length <= 12 ? columns.map((_, k) => k) : [...new Set(chosen.filter((k) => k >= 0))];
    for (const k of few) {
      const { name, values, reasons, why } = columns[k];
      const value = values[i] !== null ? shownNumber(values[i]) : (why && reasons[why[i]]) || "undefined";
      list.append(el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: value })));
    }
    this.panel.append(list);
  }

  close() {
    this.scatter.pinned = false;
    this.scatter.select(-1);
  }

  reset() {
    for (const input of [this.text, this.low, this.high]) input.value = "";
    this.state.value = this.operation.value = "";
    this.update();
  }

  download() {
    const address = URL.createObjectURL(new Blob([this.grid.csv()], { type: "text/csv" }));
    el("a", { href: address, download: `${this.data.space}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  repaint() {
    this.scatter.draw();
    this.drawShade(this.scatter.view.colour, Number(this.paint.value));
  }
}
