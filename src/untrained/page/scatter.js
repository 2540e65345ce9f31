// A scatter plot on a canvas: points are drawn once, what is pointed at on a second canvas above.

const SHADES = 32;

function ramp(share, dark) {
  const stops = dark
    ? [[78, 92, 186], [42, 146, 190], [60, 190, 150], [160, 215, 95], [250, 228, 90]]
    : [[68, 30, 110], [58, 82, 140], [32, 145, 140], [94, 190, 90], [225, 190, 20]];
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2);
  return "rgb(" + stops[k].map((c, n) => Math.round(c + (stops[k + 1][n] - c) * (at - k))).join(",") + ")";
}

const rgb = (text) => text.match(/\d+/g).map(Number);

function ticksOf(low, high, log) {
  if (log && high - low > 1.2) {
    const step = Math.max(1, Math.ceil((high - low) / 6)), found = [];
    for (let power = Math.ceil(low / step) * step; power <= high; power += step) {
      found.push([power, power < -3 || power > 5 ? `1e${power}` : String(Number((10 ** power).toPrecision(1)))]);
    }
    return found;
  }
  const [a, b] = log ? [10 ** low, 10 ** high] : [low, high];
  const rough = (b - a) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), found = [];
  for (let k = Math.ceil(a / step); k * step <= b; k++) {
    const value = k * step, large = Math.max(Math.abs(a), Math.abs(b)) >= 1e5 || step < 1e-4;
    found.push([log ? Math.log10(value) : value, large ? String(Number(value.toPrecision(3))) : value.toFixed(digits)]);
  }
  return found;
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (v === v) { if (v < low) low = v; if (v > high) high = v; }
  if (low > high) return [0, 1];
  const room = (high - low) * 0.03 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

class Scatter {
  constructor(host, onPoint) {
    this.onPoint = onPoint;
    this.selected = -1;
    this.pinned = false;
    this.base = el("canvas", { className: "points" });
    this.over = el("canvas", { className: "over", tabIndex: 0 });
    this.over.setAttribute("role", "application");
    this.over.setAttribute("aria-roledescription", "scatter plot");
    host.append(this.base, this.over);
    this.host = host;
    this.listen();
    new ResizeObserver(() => this.resize()).observe(host);
  }

  // x, y, colour: values by architecture, NaN where undefined, already as logarithms where asked for; shown: indices.
  show(view) {
    const before = this.view;
    this.view = view;
    if (!before || before.x !== view.x || before.y !== view.y) this.whole();
    this.shades = extent(view.colour || []);
    this.resize();
  }

  whole() {
    this.domain = [...extent(this.view.x), ...extent(this.view.y)];
  }

  zoom(factor) {
    const [a, b, c, d] = this.domain, x = (a + b) / 2, y = (c + d) / 2;
    this.domain = [x + (a - x) * factor, x + (b - x) * factor, y + (c - y) * factor, y + (d - y) * factor];
    this.draw();
  }

  resize() {
    const { width, height } = this.host.getBoundingClientRect(), scale = devicePixelRatio || 1;
    if (!width || !this.view) return;
    this.width = width;
    this.height = height;
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    }
    this.draw();
  }

  // Where an architecture is, in pixels of the plot; null where it is not shown.
  pixel(i) {
    const { x, y } = this.view, [a, b, c, d] = this.domain, box = this.box;
    const py = box.bottom - ((y[i] - c) / (d - c)) * (box.bottom - box.top);
    if (!(py >= box.top - 1 && py <= box.bottom + 1)) return null;
    if (Number.isNaN(x[i])) {
      if (!this.view.undefinedAt(i) || !box.strip) return null;
      return [box.strip[0] + 6 + (((i * 2654435761) >>> 0) / 2 ** 32) * (box.strip[1] - box.strip[0] - 12), py];
    }
    const px = box.left + ((x[i] - a) / (b - a)) * (box.right - box.left);
    return px >= box.left - 1 && px <= box.right + 1 ? [px, py] : null;
  }

  draw() {
    const pen = this.base.getContext("2d"), style = getComputedStyle(this.host), view = this.view;
    const colour = (name) => style.getPropertyValue(name).trim();
    const dark = colour("--scheme") === "dark", strip = view.hasUndefined;
    this.box = { left: strip ? 124 : 58, right: this.width - 14, top: 12, bottom: this.height - 46 };
    if (strip) this.box.strip = [58, 110];
    const box = this.box, [a, b, c, d] = this.domain;
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = `12px ${style.fontFamily}`;
    pen.lineWidth = 1;
    pen.strokeStyle = colour("--grid");
    pen.fillStyle = colour("--muted");
    pen.textAlign = "right";
    pen.beginPath();
    for (const [tick, text] of ticksOf(c, d, view.yLog)) {
      const y = box.bottom - ((tick - c) / (d - c)) * (box.bottom - box.top);
      pen.moveTo(box.strip ? box.strip[0] : box.left, y);
      pen.lineTo(box.right, y);
      pen.fillText(text, 50, y + 4);
    }
    pen.textAlign = "center";
    for (const [tick, text] of ticksOf(a, b, view.xLog)) {
      const x = box.left + ((tick - a) / (b - a)) * (box.right - box.left);
      pen.moveTo(x, box.top);
      pen.lineTo(x, box.bottom);
      pen.fillText(text, x, box.bottom + 17);
    }
    if (strip) {
      pen.fillText("undefined", 84, box.bottom + 17);
      pen.moveTo(117, box.top);
      pen.lineTo(117, box.bottom);
    }
    pen.stroke();
    pen.fillStyle = colour("--ink");
    pen.fillText(view.xName, (box.left + box.right) / 2, this.height - 8);
    pen.save();
    pen.translate(12, (box.top + box.bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(view.yName, 0, 0);
    pen.restore();
    this.points(pen, dark, colour);
    this.mark();
  }

  // Points are blended into pixels by hand: with thousands of them that is many times faster than drawing each.
  points(pen, dark, colour) {
    const { shown, colour: paint } = this.view, scale = devicePixelRatio || 1, many = shown.length > 5000;
    const radius = (many ? 2.1 : shown.length > 1500 ? 2.7 : 3.6) * scale, alpha = many ? 0.55 : 0.75;
    const width = this.base.width, height = this.base.height, pixels = new Uint8ClampedArray(4 * width * height);
    const reach = Math.ceil(radius + 1), disc = [];
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const covered = Math.min(1, radius + 0.5 - Math.hypot(dx, dy));
        if (covered > 0) disc.push([dx, dy, covered * alpha]);
      }
    }
    const inks = Array.from({ length: SHADES }, (_, k) => rgb(ramp(k / (SHADES - 1), dark)));
    inks.push(rgb(colour(paint ? "--muted-rgb" : "--accent-rgb")));
    const [low, high] = this.shades;
    this.buckets = new Map();
    this.places = new Map();
    this.orders = null;
    for (const i of shown) {
      const at = this.pixel(i);
      if (!at) continue;
      const known = paint && paint[i] === paint[i];
      const k = known ? Math.min(SHADES - 1, Math.max(0, Math.floor(((paint[i] - low) / (high - low)) * SHADES))) : SHADES;
      const [r, g, b] = inks[k], cx = Math.round(at[0] * scale), cy = Math.round(at[1] * scale);
      for (const [dx, dy, over] of disc) {
        if (cx + dx < 0 || cx + dx >= width || cy + dy < 0 || cy + dy >= height) continue;
        const p = 4 * ((cy + dy) * width + cx + dx), under = (pixels[p + 3] / 255) * (1 - over), all = over + under;
        pixels[p] = (r * over + pixels[p] * under) / all;
        pixels[p + 1] = (g * over + pixels[p + 1] * under) / all;
        pixels[p + 2] = (b * over + pixels[p + 2] * under) / all;
        pixels[p + 3] = all * 255;
      }
      const bucket = Math.floor(at[0] / 16) * 4096 + Math.floor(at[1] / 16);
      if (!this.buckets.has(bucket)) this.buckets.set(bucket, []);
      this.buckets.get(bucket).push(i);
      this.places.set(i, at);
    }
    this.sheet ||= el("canvas");
    Object.assign(this.sheet, { width, height });
    this.sheet.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
    pen.drawImage(this.sheet, 0, 0, width, height, 0, 0, this.width, this.height);
  }

  // The point drawn nearest to a place, within 16 pixels; -1 if there is none.
  nearest(px, py) {
    let best = -1, least = 16 * 16;
    for (let bx = -1; bx <= 1; bx++) {
      for (let by = -1; by <= 1; by++) {
        const bucket = (Math.floor(px / 16) + bx) * 4096 + Math.floor(py / 16) + by;
        for (const i of this.buckets.get(bucket) || []) {
          const [x, y] = this.places.get(i), far = (x - px) ** 2 + (y - py) ** 2;
          if (far < least) [best, least] = [i, far];
        }
      }
    }
    return best;
  }

  select(i, tell = true) {
    if (i === this.selected) return;
    this.selected = i;
    this.mark();
    if (tell) this.onPoint(i);
  }

  mark(from, to) {
    const pen = this.over.getContext("2d"), style = getComputedStyle(this.host);
    pen.clearRect(0, 0, this.width, this.height);
    pen.strokeStyle = style.getPropertyValue("--ink");
    pen.lineWidth = this.pinned ? 3 : 2;
    const at = this.places && this.places.get(this.selected);
    if (at) {
      pen.beginPath();
      pen.arc(at[0], at[1], 7, 0, 7);
      pen.stroke();
    }
    if (from) {
      pen.lineWidth = 1;
      pen.setLineDash([4, 3]);
      pen.strokeRect(from[0], from[1], to[0] - from[0], to[1] - from[1]);
      pen.setLineDash([]);
    }
  }

  // The next point to the left or right, or up or down.
  step(dx, dy) {
    if (!this.places.size) return;
    if (!this.orders) {
      const drawn = [...this.places.keys()];
      const by = (n, m) => drawn.slice().sort((i, j) => {
        const p = this.places.get(i), q = this.places.get(j);
        return p[n] - q[n] || p[m] - q[m] || i - j;
      });
      this.orders = [by(0, 1), by(1, 0)];
    }
    const order = this.orders[dx ? 0 : 1], at = order.indexOf(this.selected);
    const to = at < 0 ? 0 : Math.min(Math.max(at + (dx || dy), 0), order.length - 1);
    this.select(order[to]);
  }

  listen() {
    let start = null;
    const place = (event) => {
      const box = this.over.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.over.addEventListener("pointerdown", (event) => {
      start = place(event);
    });
    this.over.addEventListener("pointermove", (event) => {
      const at = place(event);
      if (start && event.buttons && event.pointerType === "mouse") this.mark(start, at);
      else if (!this.pinned && event.pointerType === "mouse") {
        const i = this.nearest(...at);
        if (i >= 0) this.select(i);
      }
    });
    this.over.addEventListener("pointerup", (event) => {
      const at = place(event), from = start;
      start = null;
      if (!from) return;
      if (Math.abs(at[0] - from[0]) > 8 && Math.abs(at[1] - from[1]) > 8 && event.pointerType === "mouse") {
        this.zoomTo(from, at);
        return;
      }
      const i = this.nearest(...at);
      this.pinned = i >= 0 && !(this.pinned && i === this.selected);
      if (i >= 0) this.select(i);
      this.mark();
    });
    this.over.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (steps[event.key]) this.step(...steps[event.key]);
      else if (event.key === "Home") this.step(-Infinity, 0);
      else if (event.key === "End") this.step(Infinity, 0);
      else if (event.key === "Enter" || event.key === " ") this.pinned = !this.pinned && this.selected >= 0;
      else if (event.key === "+" || event.key === "=") this.zoom(0.7);
      else if (event.key === "-") this.zoom(1 / 0.7);
      else if (event.key === "0") (this.whole(), this.draw());
      else return;
      this.mark();
      event.preventDefault();
    });
  }

  zoomTo(from, to) {
    const [a, b, c, d] = this.domain, box = this.box;
    const x = (px) => a + ((Math.min(Math.max(px, box.left), box.right) - box.left) / (box.right - box.left)) * (b - a);
    const y = (py) => c + ((box.bottom - Math.min(Math.max(py, box.top), box.bottom)) / (box.bottom - box.top)) * (d - c);
    const xs = [x(from[0]), x(to[0])].sort((p, q) => p - q), ys = [y(from[1]), y(to[1])].sort((p, q) => p - q);
    if (xs[0] < xs[1] && ys[0] < ys[1]) this.domain = [...xs, ...ys];
    this.draw();
  }
}
